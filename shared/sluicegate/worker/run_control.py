"""What operators want of one run, as far as its attempt has heard."""

from __future__ import annotations

import asyncio

from sluicegate.model import HandoffSummary, LiveControl, Recovery
from sluicegate.worker.holds import Holds


class RunControl:
    """The newest version of a run's controls; an older one that comes later changes nothing.

    Its pause and its takeover are a hold of the attempt. Heard by push, by heartbeat, and with the claim.
    """

    __slots__ = ("_changed", "_holds", "_wanted")

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._wanted: LiveControl | None = None
        self._changed: asyncio.Event | None = None

    def observe(self, wanted: LiveControl | None) -> None:
        if wanted is None or (self._wanted is not None and wanted.version <= self._wanted.version):
            return
        self._wanted = wanted
        self._holds.set("operator", wanted.paused or wanted.takeover)
        self._holds.set_hard(wanted.hard)
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    @property
    def recovery(self) -> Recovery | None:
        return self._wanted.recovery if self._wanted else None

    @property
    def message_id(self) -> str | None:
        return self._wanted.message_id if self._wanted else None

    async def message_after(self, known: str | None) -> str:
        """Wait until the newest message is another than the one that is known."""
        while (newest := self.message_id) is None or newest == known:
            await self._change().wait()
        return newest

    @property
    def summary(self) -> HandoffSummary | None:
        return self._wanted.summary if self._wanted else None

    async def recovery_after(self, known: Recovery | None) -> Recovery:
        """Wait for a request that is pending and is not this one."""
        while (pending := self.recovery) is None or (known is not None and pending.id == known.id):
            await self._change().wait()
        return pending

    def _change(self) -> asyncio.Event:
        """Set with the next version; made on first use, since most attempts never look."""
        if self._changed is None:
            self._changed = asyncio.Event()
        return self._changed
