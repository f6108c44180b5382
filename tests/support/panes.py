"""A run with a session of panes: its parts, an agent on its terminal, and what a grant looks like."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from services.worker.task import handler
from sluicegate.settings import WorkerSettings
from sluicegate.store.live_sessions import Ways
from tests.support.recorded_context import Kept, attempt
from tests.support.wait import until

ECHO = "print('agent at work', flush=True)\nwhile True: print('got:' + input(), flush=True)"


@contextlib.asynccontextmanager
async def prepared(kept: Kept, settings: WorkerSettings) -> AsyncIterator[Any]:
    """A run whose stage `execute` is about to begin."""
    async with attempt(kept, settings) as recorded:
        run = handler._begin(recorded.context)
        run.place.tree.mkdir()
        run.place.stage_log("execute").write_text("a line of the log\n")
        run.place.inbox.write_text('{"message":"a message"}\n')
        yield run


@contextlib.asynccontextmanager
async def opened(provider: Any) -> AsyncIterator[Ways]:
    try:
        yield await provider.start()
    finally:
        await provider.close()


@contextlib.asynccontextmanager
async def agent(run: Any) -> AsyncIterator[None]:
    """A command on the run's terminal that says what it was typed."""
    env = {"PATH": os.environ["PATH"]}
    running = asyncio.create_task(run.ctx.run([sys.executable, "-c", ECHO], env=env))
    try:
        await until(lambda: b"at work" in run.ctx.terminal.recent, "the agent runs")
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def granted(writer: str | None, seconds: float = 60) -> Any:
    """What a provider looks at of a session's record."""
    until_ms = 1_000_000 + int(seconds * 1000) if writer else 0
    return SimpleNamespace(
        granted_until_ms=until_ms, heard_ms=1_000_000, session=SimpleNamespace(rw_granted_to=writer)
    )
