"""Pauses that were to last until a time that has come: the workers go on (P-13)."""

from __future__ import annotations

from sluicegate.loop import Counts, Loop
from sluicegate.operations import pause
from sluicegate.store import Store


class EndedPauses(Loop):
    name = "ended_pauses"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        return {"ended": int(await pause.end_due(self._store))}
