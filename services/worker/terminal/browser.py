"""Provider `browser`: the dashboard's terminal, which goes through the store and needs no more (L-14)."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

from services.worker.terminal.publisher import Publisher
from services.worker.terminal.shell import Shell
from sluicegate.store.live_sessions import Known, Ways

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun


class Browser:
    def __init__(self, run: TaskRun) -> None:
        ctx = run.ctx
        self._page = f"/jobs/{ctx.job.id}"
        self._shell = Shell(run)
        self._publisher = Publisher(
            ctx.terminal, ctx.transport, ctx.job.id, ctx.lease_token, otherwise=self._shell.give
        )
        self._hearing = ExitStack()
        self._publishing: asyncio.Task[None] | None = None

    async def start(self) -> Ways:
        self._hearing.enter_context(self._publisher.hearing())
        return Ways(web_ro=self._page)

    def look(self, known: Known) -> None:
        """What is published before the session is on record would be refused."""
        if self._publishing is None:
            name = f"publishes {known.session.task_run_id}"
            self._publishing = asyncio.create_task(self._publisher.run(), name=name)
        else:
            self._publisher.look()

    async def grant_over(self) -> None:
        """Input passes the store, whose clock ends a grant."""

    async def ended(self) -> None:
        """It is as lasting as the attempt."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        self._hearing.close()
        if (publishing := self._publishing) is not None:
            self._publishing = None
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        await self._shell.close()
