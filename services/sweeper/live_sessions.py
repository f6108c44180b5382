"""Live sessions whose worker is gone, or whose attempt or time is over and nobody has ended them (L-8)."""

from __future__ import annotations

from sluicegate.loop import Counts, Loop
from sluicegate.store import Store, live_sessions


class LiveSessions(Loop):
    name = "live_sessions"

    def __init__(self, store: Store, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._store = store

    async def run_once(self) -> Counts:
        return {"ended": await live_sessions.end_due(self._store)}
