"""Leases that ran out: their jobs go back into the queue, or end (Q-9); untouched while paused (P-4)."""

from __future__ import annotations

from sluicegate.loop import Counts, Loop
from sluicegate.store import Store, sweeping


class ExpiredLeases(Loop):
    name = "expired_leases"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        return {"expired": await sweeping.expire_leases(self._store) or 0}
