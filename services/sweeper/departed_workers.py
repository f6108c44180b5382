"""Workers and worker policies that nobody has heard of for a while: forgotten."""

from __future__ import annotations

from sluicegate.loop import Counts, Loop
from sluicegate.store import Store, sweeping, workers


class DepartedWorkers(Loop):
    name = "departed_workers"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        return {
            "workers": await workers.forget_departed(self._store),
            "policies": await sweeping.forget_policies(self._store) or 0,
        }
