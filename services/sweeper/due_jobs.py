"""Delayed jobs whose time has come: into their lanes, so that Q-7 does not hang on a claim alone."""

from __future__ import annotations

from sluicegate.loop import Counts, Loop
from sluicegate.store import Store, sweeping


class DueJobs(Loop):
    name = "due_jobs"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        return {"promoted": await sweeping.promote_due(self._store) or 0}
