"""What leaves the worker: events and endings, in one queue, in batches, flushed at once when idle.

Whatever was put in first leaves first, so events of a job leave before its ending. While the store is away
everything waits here, bounded: producers of events wait with it. What is sent again because
its answer was lost counts once: endings are fenced, events are numbered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from sluicegate.errors import RequestError, StoreError
from sluicegate.log import log
from sluicegate.store.endings import Ending
from sluicegate.store.events import Append
from sluicegate.worker.transports import Transport

MAX_WAITING: Final = 2000
"""Events beyond this make their producers wait."""
BATCH: Final = 100
"""As many as one script call takes: events whose answer is lost were written all, or none of them."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0


class Outbox:
    """Start one per worker. refused: called for each ending that the queue did not take."""

    def __init__(self, transport: Transport, refused: Callable[[Ending, RequestError], None]) -> None:
        self._transport = transport
        self._refused = refused
        self._waiting: list[Append | Ending] = []
        self._events = 0
        self._added = self._left = 0
        self._filled = asyncio.Event()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox")

    async def add_event(self, append: Append) -> None:
        """Queue an event; waits while too many are queued."""
        while self._events >= MAX_WAITING:
            await self._moved.wait()
        self._events += 1
        # Numbered as they queue up, not as they are made: who waits for room may be overtaken.
        self._add(append._replace(seq=self._added + 1))

    def add_ending(self, ending: Ending) -> None:
        self._add(ending)

    def unwritten(self) -> list[tuple[str, int]]:
        """Attempts (job id, token) whose ending waits here: their leases must go on. Safe in any thread."""
        return [(item.job_id, item.token) for item in list(self._waiting) if not isinstance(item, Append)]

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    async def flushed(self) -> None:
        """Wait until all that was queued before has left."""
        upto = self._added
        while self._left < upto:
            await self._moved.wait()

    async def stop(self, timeout_seconds: float) -> None:
        """Send what is left, for at most this long."""
        task, self._task = self._task, None
        if task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self.flushed()
            task.cancel()
            await asyncio.wait([task])
        if self._waiting:
            log.warning("worker.outbox.left", items=len(self._waiting), events=self._events)

    def _add(self, item: Append | Ending) -> None:
        self._waiting.append(item)
        self._added += 1
        self._filled.set()

    async def _run(self) -> None:
        pause, size = FIRST_PAUSE_SECONDS, BATCH
        while True:
            if not self._waiting:
                self._filled.clear()
                await self._filled.wait()
                size = BATCH
            batch = self._waiting[:size]
            try:
                await self._send(batch)
                pause = FIRST_PAUSE_SECONDS
            except StoreError as error:
                log.warning("worker.store.away", code=error.code, detail=error.detail, waiting=self.backlog)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - one item that cannot be sent must not hold up the others
                log.error("worker.outbox.raised", error=error, items=len(batch))
                if len(batch) == 1:
                    self._forget(batch, [])
                size = 1

    async def _send(self, batch: list[Append | Ending]) -> None:
        """Send the oldest items. Each stays until the queue has answered: an outage loses nothing."""
        events = [item for item in batch if isinstance(item, Append)]
        endings = [item for item in batch if not isinstance(item, Append)]
        if events:
            await self._append(events)
            self._forget(batch, endings)
        if endings:
            outcomes = await self._settle(endings)
            self._forget(endings, [])
            for ending, error in zip(endings, outcomes, strict=True):
                if error is not None:
                    self._refused(ending, error)

    def _forget(self, oldest: list[Append | Ending] | list[Ending], but: list[Ending]) -> None:
        """Put `but` in the place of the oldest items."""
        self._waiting[: len(oldest)] = but
        self._left += len(oldest) - len(but)
        self._events -= sum(isinstance(item, Append) for item in oldest)
        self._moved.set()
        self._moved.clear()

    async def _append(self, events: list[Append]) -> None:
        """What the queue refuses (a lost lease, a full store) is dropped: endings must not wait behind it."""
        try:
            outcomes = await self._transport.append_events(events)
        except RequestError as error:
            log.warning("worker.events.refused", events=len(events), code=error.code, detail=error.detail)
            return
        refused = sum(isinstance(outcome, RequestError) for outcome in outcomes)
        if refused:
            log.warning("worker.events.refused", events=refused)

    async def _settle(self, endings: list[Ending]) -> list[RequestError | None]:
        try:
            return await self._transport.settle(endings)
        except RequestError as error:
            return [error] * len(endings)
