"""That a run's live session has changed, as far as its attempt has heard."""

from __future__ import annotations

import asyncio


class LiveNews:
    """The newest version of the session's record. Heard by push, by heartbeat, and with the claim."""

    __slots__ = ("_changed", "version")

    def __init__(self) -> None:
        self.version = 0
        self._changed: asyncio.Event | None = None

    def observe(self, version: int) -> None:
        """An older one, that comes later, changes nothing."""
        if version <= self.version:
            return
        self.version = version
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def after(self, known: int) -> int:
        """Wait for a version beyond the one that is known."""
        while self.version <= known:
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()
        return self.version
