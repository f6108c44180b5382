"""What operators have asked of this worker: the pause state, and who is to be told of it."""

from __future__ import annotations

import asyncio

from sluicegate.log import log
from sluicegate.model import SystemState


class PauseState:
    """The newest pause state this worker has seen; an older version never replaces a newer one."""

    def __init__(self) -> None:
        self.state = SystemState(workers_paused=False, version=-1)
        self._changed = asyncio.Event()

    @property
    def quiesced(self) -> bool:
        return self.state.workers_paused and self.state.mode == "quiesce"

    def observe(self, state: SystemState) -> None:
        if state.version <= self.state.version:
            return
        known = self.state.version >= 0
        self.state = state
        if known or state.workers_paused:
            log.info("worker.pause.seen", paused=state.workers_paused, mode=state.mode, version=state.version)
        self._changed.set()
        self._changed = asyncio.Event()

    def change(self) -> asyncio.Event:
        """Set at the next change."""
        return self._changed
