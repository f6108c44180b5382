"""A lost pause record comes back as the audit says it was: claims answer 503 without one (P-11). Those of the
narrower pauses and what claims know of them agree."""

from __future__ import annotations

from sluicegate.log import log
from sluicegate.loop import Counts, Loop
from sluicegate.store import Store, narrow_pauses, repair


class PauseRecord(Loop):
    name = "pause_record"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        restored = await repair.restore_pause(self._store)
        if restored:
            log.error("sweeper.pause_record.restored")
        repaired = await narrow_pauses.repair(self._store)
        if repaired:
            log.error("sweeper.narrow_pauses.repaired", names=repaired)
        return {"restored": int(restored) + len(repaired)}
