"""Pauses that were to last until a time that has come: work goes on (P-12, P-13)."""

from __future__ import annotations

from sluicegate.loop import Counts, Loop
from sluicegate.operations import pause
from sluicegate.store import Store, narrow_pauses


class EndedPauses(Loop):
    name = "ended_pauses"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        ended = await pause.end_due(self._store)
        # Also after a resume that was cut short: what it was to give back would stay set aside.
        await narrow_pauses.bring_back(self._store)
        return {"ended": ended}
