"""What operators say to the agent: a file that grows beside the work tree, and its next prompt (L-6).

The file has each message of the run, in order, once: an attempt begins it anew in its own folder, and appends
what comes. Which messages an agent has got is kept with the job, under the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import msgspec

from sluicegate.errors import RequestError, StoreError
from sluicegate.log import log
from sluicegate.model import OperatorMessage
from sluicegate.store.positions import position

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun

READ: Final = "messages_read"
"""The fact that says up to which message an agent has been told."""
RETRY_SECONDS: Final = 1.0


class Line(msgspec.Struct, rename="camel"):
    id: str
    created_at: str
    actor_user_id: str
    message: str


class Inbox:
    """unread: messages that no step that is finished has got in its prompt."""

    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._newest: str | None = None
        self._place: str | None = None
        self._unread: list[OperatorMessage] = []
        self._fetching = asyncio.Lock()

    @property
    def unread(self) -> list[OperatorMessage]:
        read = self._run.facts.get(READ)
        if read is not None:
            self._unread = [each for each in self._unread if position(each.id) > position(read)]
        return self._unread

    async def fetch(self) -> None:
        """Bring in what has come: before a prompt is written."""
        await self._run.insist(self._fetch)

    async def passed_on(self, message_id: str) -> None:
        """An agent has got the messages up to this one. May be repeated. Raises LeaseLost, StoreError."""
        await self._run.ctx.change_fact(READ, message_id)
        self._run.facts[READ] = message_id

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Inside the block what comes is appended as it comes."""
        self._run.place.inbox.touch()
        following = asyncio.create_task(self._follow(), name=f"inbox of {self._run.ctx.job.id}")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow(self) -> None:
        """Until cancelled, or the job is another's."""
        with contextlib.suppress(RequestError):
            while True:
                await self._run.ctx.message_after(self._newest)
                with contextlib.suppress(StoreError):
                    await self._fetch()
                if self._run.ctx.message_id != self._newest:
                    await asyncio.sleep(RETRY_SECONDS)

    async def _fetch(self) -> None:
        """Read on behind what is there. A file that cannot be written to is tried again later."""
        ctx = self._run.ctx
        async with self._fetching:
            more: str | None = ""
            while more is not None and ctx.message_id != self._newest:
                found, more = await ctx.transport.messages(ctx.job.id, self._place)
                try:
                    self._append(found)
                except OSError as error:
                    log.warning("worker.inbox.failed", job_id=ctx.job.id, error=error)
                    return
                self._unread += found
                self._newest = found[-1].id if found else self._newest
                self._place = more or self._newest or self._place

    def _append(self, messages: list[OperatorMessage]) -> None:
        """All of them or, raising OSError, none."""
        lines = b"".join(
            msgspec.json.encode(Line(each.id, each.created_at, each.actor_user_id, each.message)) + b"\n"
            for each in messages
        )
        with self._run.place.inbox.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                left = lines
                while left:
                    left = left[file.write(left) :]
            except OSError:
                file.truncate(before)
                raise
