"""What operators ask of running jobs and of all workers, pushed to each worker that listens.

One reader of the control stream per process feeds all of them. A push that is lost costs time and nothing
else: heartbeats carry the same facts (C-10).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from sluicegate.store import Store
from sluicegate.store.control_feed import Control, ControlFeed

MAX_UNSENT: Final = 1000
"""A listener that takes nothing loses the oldest."""


class Listener:
    """One worker's ear."""

    def __init__(self) -> None:
        self._heard: deque[Control] = deque(maxlen=MAX_UNSENT)
        self._rung = asyncio.Event()

    def add(self, control: Control) -> None:
        self._heard.append(control)
        self._rung.set()

    async def take(self) -> list[Control]:
        """What was heard since the last call; waits for the first one."""
        await self._rung.wait()
        self._rung.clear()
        heard = list(self._heard)
        self._heard.clear()
        return heard


class Controls:
    """Start one per process; the blocking reader starts with the first listener."""

    def __init__(self, store: Store) -> None:
        self._feed = ControlFeed(store, self._deliver)
        self._by_worker: dict[str, set[Listener]] = {}

    async def close(self) -> None:
        await self._feed.stop()

    @contextlib.asynccontextmanager
    async def listen(self, worker_id: str) -> AsyncIterator[Listener]:
        """From entry on, what concerns this worker is heard: its jobs' controls, and the pause state."""
        listener = Listener()
        self._by_worker.setdefault(worker_id, set()).add(listener)
        try:
            await self._feed.start()
            yield listener
        finally:
            self._by_worker[worker_id].discard(listener)
            if not self._by_worker[worker_id]:
                del self._by_worker[worker_id]

    def _deliver(self, control: Control) -> None:
        for worker_id in [control.worker_id] if control.worker_id else list(self._by_worker):
            for listener in self._by_worker.get(worker_id, ()):
                listener.add(control)
