"""A shell in the run's work tree, for who types while the run waits for people (L-9)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final

from services.worker.task import environment
from sluicegate.errors import LeaseLost
from sluicegate.worker.outcome import JobCancelled, JobFailed, JobReleased
from sluicegate.worker.process import CommandNotStarted

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun

ARGV: Final = ("bash", "--noprofile", "--norc", "-i")
PROMPT: Final = r"\[\e[36m\]by hand\[\e[0m\]:\W\$ "
WELCOME: Final = b"\r\n\x1b[7m the run waits for you: a shell in its work tree, until it goes on \x1b[0m\r\n"
START_SECONDS: Final = 10.0


class Shell:
    """At most one at a time: it begins with what is typed, and is ended once the run goes on."""

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._ctx = run.ctx
        self._running: asyncio.Task[None] | None = None

    async def give(self, data: bytes) -> bool:
        """Type into it; False while the run does not wait for people: then its files are an agent's."""
        if not self._ctx.stands_still:
            return False
        if self._running is None or self._running.done():
            self._ctx.terminal.show(WELCOME)
            self._running = asyncio.create_task(self._work(), name=f"shell of {self._ctx.job.id}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._ctx.terminal.until_it_takes_input()
        return await self._ctx.terminal.type(data)

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _work(self) -> None:
        """Killed when the run goes on: from then on its files are the next step's."""
        going_on = asyncio.create_task(self._ctx.goes_on())
        working = asyncio.create_task(self._bash())
        try:
            await asyncio.wait((going_on, working), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (going_on, working):
                task.cancel()
            await asyncio.gather(going_on, working, return_exceptions=True)

    async def _bash(self) -> None:
        ctx, place = self._ctx, self._run.place
        env = environment.for_step(os.environ, ctx.settings, {}, {"JOB_ID": ctx.job.id}) | {"PS1": PROMPT}
        with contextlib.suppress(JobCancelled, JobReleased, JobFailed, LeaseLost, CommandNotStarted):
            await ctx.run(ARGV, cwd=place.tree, env=env, stage="execute", log_path=place.stage_log("execute"))
