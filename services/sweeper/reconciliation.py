"""The stored invariants, checked now and then: what differs is logged and counted, never papered over."""

from __future__ import annotations

from sluicegate.log import log
from sluicegate.loop import Counts, Loop
from sluicegate.store import Store, limits, repair


class Reconciliation(Loop):
    name = "reconciliation"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        await limits.warn_of_difference(self._store)
        found = [*await repair.reconcile(self._store), *await limits.reconcile(self._store)]
        for difference in found:
            log.warning("sweeper.reconciled", difference=difference)
        return {"repaired": len(found)}
