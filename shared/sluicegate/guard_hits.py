"""Claims that the pause turned away (P-3): each is counted; of one worker the first is told, and again when
the pause has changed."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from sluicegate.log import log
from sluicegate.model import SystemState

MOST: Final = 20_000
"""Workers remembered at a time; past that some are told of again."""


class GuardHits:
    """One per process that claims, for itself or for others."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._told: dict[str, int] = {}

    def note(self, worker_id: str, system: SystemState) -> None:
        """This state turned a claim of the worker away."""
        self._counter.inc()
        if self._told.get(worker_id) == system.version:
            return
        if len(self._told) >= MOST:
            self._told.clear()
        self._told[worker_id] = system.version
        log.info(
            "claim_guard_hit",
            worker=worker_id,
            mode=system.mode,
            reason=system.reason,
            version=system.version,
        )
