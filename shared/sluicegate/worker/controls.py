"""What operators have asked of this worker: the pause state, and who is to be told of it."""

from __future__ import annotations

from collections.abc import Callable

from sluicegate.log import log
from sluicegate.model import NarrowPause, Pauses, PauseScope, SystemState
from sluicegate.pauses import holds
from sluicegate.worker.attempt import RunningAttempt


class PauseState:
    """The newest pause state this worker has seen; an older version never replaces a newer one.

    Each version is logged once. changed: called after each change, to `hold` what runs.
    """

    def __init__(self, worker_id: str, changed: Callable[[], None]) -> None:
        self.state = SystemState(workers_paused=False, version=-1)
        self._worker_id = worker_id
        self._changed = changed
        self._narrow: dict[tuple[PauseScope, str], NarrowPause] = {}
        self._narrow_version = 0

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

    def observe_all(self, pauses: Pauses) -> None:
        """The narrower pauses in force, as a heartbeat or the start of a stream has them."""
        if pauses.version < self._narrow_version or (pauses.version == 0 and not self._narrow):
            return
        self._narrow_version = pauses.version
        self._set({(each.scope, each.value): each for each in pauses.items})

    def observe_one(self, pause: NarrowPause) -> None:
        """A change of one, as it is pushed; without a mode it was lifted. An older one changes nothing."""
        key = (pause.scope, pause.value)
        known = self._narrow.get(key)
        if pause.version < self._narrow_version and (known is None or known.version >= pause.version):
            return
        self._narrow_version = max(self._narrow_version, pause.version)
        others = {each: other for each, other in self._narrow.items() if each != key}
        self._set(others | {key: pause} if pause.mode else others)

    def not_alone(self) -> None:
        """A claim was answered: this worker is not paused by itself, whatever was lost on the way."""
        if self.paused_alone:
            self._set({each: other for each, other in self._narrow.items() if each[0] != "worker"})

    def _set(self, narrow: dict[tuple[PauseScope, str], NarrowPause]) -> None:
        if narrow == self._narrow:
            return
        self._narrow = narrow
        log.info(
            "worker.pauses.seen",
            worker=self._worker_id,
            pauses=[f"{scope}:{value}" for scope, value in narrow],
            version=self._narrow_version,
        )
        self._changed()

    @property
    def paused_alone(self) -> bool:
        """Whether this worker is paused by itself."""
        return ("worker", self._worker_id) in self._narrow

    def hold(self, attempt: RunningAttempt) -> None:
        """Let the attempt wait at its next checkpoint, or go on, as the pauses say."""
        attempt.holds.set("worker_pause", self.quiesced or self._quiesced_in_part(attempt))

    def _quiesced_in_part(self, attempt: RunningAttempt) -> bool:
        quiesces = [each for each in self._narrow.values() if each.mode == "quiesce"]
        if not quiesces:
            return False
        job = attempt.claimed.job()
        return any(holds(each, job, self._worker_id) for each in quiesces)
