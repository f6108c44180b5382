"""The timelines of the jobs that people look at: each read once, then only what is new, for all of them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from sluicegate.operations.timeline import Timeline
from sluicegate.store import events
from sluicegate.store.connection import Store
from sluicegate.store.positions import Position

MOST_JOBS: Final = 100
"""That are remembered; of another one the history is read anew."""
PAGE: Final = 1_000


class _Read:
    def __init__(self) -> None:
        self.timeline = Timeline()
        self.upto: Position | None = None
        self.reading = asyncio.Lock()


class Timelines:
    """Make one per process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: OrderedDict[str, _Read] = OrderedDict()

    async def of(self, job_id: str) -> Timeline:
        """As of now; it changes with the next call for that job. Raises NotFound, StoreError."""
        known = self._read.setdefault(job_id, _Read())
        self._read.move_to_end(job_id)
        while len(self._read) > MOST_JOBS:
            self._read.popitem(last=False)
        async with known.reading:
            while True:
                found, upto = await events.without_output(self._store, job_id, known.upto, limit=PAGE)
                if upto is None:
                    return known.timeline
                known.timeline.take_all(found)
                known.upto = upto
