"""A lost pause record comes back as the audit says it was: claims answer 503 without one (P-11)."""

from __future__ import annotations

from sluicegate.log import log
from sluicegate.loop import Counts, Loop
from sluicegate.store import Store, repair


class PauseRecord(Loop):
    name = "pause_record"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        restored = await repair.restore_pause(self._store)
        if restored:
            log.error("sweeper.pause_record.restored")
        return {"restored": int(restored)}
