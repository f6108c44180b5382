"""What operators have asked of this worker: the pause state, and who is to be told of it."""

from __future__ import annotations

from collections.abc import Callable

from sluicegate.log import log
from sluicegate.model import SystemState
from sluicegate.worker.attempt import RunningAttempt


class PauseState:
    """The newest pause state this worker has seen; an older version never replaces a newer one.

    Each version is logged once. changed: called after each change, to `hold` what runs.
    """

    def __init__(self, worker_id: str, changed: Callable[[], None]) -> None:
        self.state = SystemState(workers_paused=False, version=-1)
        self._worker_id = worker_id
        self._changed = changed

    @property
    def quiesced(self) -> bool:
        return self.state.workers_paused and self.state.mode == "quiesce"

    def observe(self, state: SystemState) -> None:
        if state.version <= self.state.version:
            return
        known = self.state.version >= 0
        self.state = state
        if known or state.workers_paused:
            log.info(
                "worker.pause.seen",
                worker=self._worker_id,
                paused=state.workers_paused,
                mode=state.mode,
                reason=state.reason,
                version=state.version,
            )
        self._changed()

    def hold(self, attempt: RunningAttempt) -> None:
        """Let the attempt wait at its next checkpoint, or go on, as the state says."""
        attempt.holds.set("worker_pause", self.quiesced)
