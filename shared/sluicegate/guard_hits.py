"""Claims that the pause turned away (P-3): each is counted; of one worker the first is told, and again when
the pause has changed."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from sluicegate.log import log
from sluicegate.model import NarrowPause, SystemState

MOST: Final = 20_000
"""Workers remembered at a time; past that some are told of again."""


class GuardHits:
    """One per process that claims, for itself or for others."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._told: dict[str, tuple[str | None, int]] = {}

    def note(self, worker_id: str, system: SystemState) -> None:
        """This state turned a claim of the worker away."""
        self._note(worker_id, system, scope=None)

    def note_narrow(self, worker_id: str, pause: NarrowPause) -> None:
        """The worker's own pause did."""
        self._note(worker_id, pause, scope=pause.scope)

    def _note(self, worker_id: str, by: SystemState | NarrowPause, scope: str | None) -> None:
        self._counter.inc()
        if self._told.get(worker_id) == (scope, by.version):
            return
        if len(self._told) >= MOST:
            self._told.clear()
        self._told[worker_id] = (scope, by.version)
        log.info(
            "claim_guard_hit",
            worker=worker_id,
            scope=scope,
            mode=by.mode,
            reason=by.reason,
            version=by.version,
        )
