"""A worker as its author would write it: python -m tests.support.worker_program. Run by acceptance tests.

With TEST_DEAF in its environment no push reaches it: what it learns, it learns from its heartbeats.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from sluicegate import JobContext, Worker, log
from sluicegate.settings import WorkerSettings, load
from sluicegate.store.control_feed import Control
from sluicegate.worker.transports.http import HttpTransport
from sluicegate.worker.transports.redis import RedisTransport

log.configure("worker", "info")
settings = load(WorkerSettings)
transport = (HttpTransport if settings.transport == "http" else RedisTransport)(settings)


async def deaf_to_pushes(deliver: Callable[[Control], None]) -> None: ...


if "TEST_DEAF" in os.environ:
    transport.watch = deaf_to_pushes
worker = Worker(settings, transport)


@worker.handler("small")
async def small(ctx: JobContext) -> str:
    return "done"


@worker.handler("brief")
async def brief(ctx: JobContext) -> str:
    """Long enough to be killed in the middle of it."""
    await ctx.event("work.began", "Began")
    await asyncio.sleep(0.05)
    return "done"


@worker.handler("command")
async def command(ctx: JobContext) -> str:
    """Runs the command of this attempt: the n-th of the payload, at last the last one."""
    commands = ctx.job.payload["commands"]
    result = await ctx.run(commands[min(ctx.job.attempt, len(commands)) - 1], pty=False)
    return f"exit code {result.exit_code}"


@worker.handler("watchful")
async def watchful(ctx: JobContext) -> str:
    """Looks at its controls until a file is there."""
    await ctx.event("work.began", "Began")
    while not Path(ctx.job.payload["until"]).exists():
        await ctx.checkpoint(step_id="wait")
        await asyncio.sleep(0.02)
    return f"attempt {ctx.job.attempt}"


@worker.handler("deaf")
async def deaf(ctx: JobContext) -> None:
    """Never looks at its controls, and swallows the first attempt to end it."""
    await ctx.event("work.began", "Began")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(3600)


@worker.handler("blocking")
async def blocking(ctx: JobContext) -> str:
    """Stops the whole loop of its worker."""
    time.sleep(ctx.job.payload["seconds"])
    return "at last"


if __name__ == "__main__":
    asyncio.run(worker.run())
