"""What keeps an attempt from going on past its next checkpoint, and the clock that stands still meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, Literal, get_args

Hold = Literal["worker_pause", "operator"]
"""worker_pause: a quiesce that this attempt is under. operator: this run was paused, or taken over."""
HOLDS: Final[tuple[Hold, ...]] = get_args(Hold)


class Holds:
    """The holds of one attempt: it goes on when none is left. Belongs to the worker's loop.

    hard: what it runs stands still at once, not only at a checkpoint. Its clock counts the seconds in which
    nothing held the attempt: what the time limits of steps and of silence are measured by (H-1).
    maxRunSeconds is not: it runs on.
    """

    __slots__ = ("_began", "_changed", "_held", "_held_since", "hard", "reasons")

    def __init__(self) -> None:
        self.reasons: frozenset[Hold] = frozenset()
        self.hard = False
        self._began = time.monotonic()
        self._held = 0.0
        self._held_since = 0.0
        self._changed: asyncio.Event | None = None

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def set(self, reason: Hold, holding: bool) -> None:
        """Begin or end one hold. Each belongs to one caller, who says anew whether it holds."""
        if holding == (reason in self.reasons):
            return
        now = time.monotonic()
        if not self.reasons:
            self._held_since = now
        self.reasons = self.reasons ^ {reason}
        if not self.reasons:
            self._held += now - self._held_since
        self._tell()

    def set_hard(self, hard: bool) -> None:
        if hard != self.hard:
            self.hard = hard
            self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def change(self) -> asyncio.Event:
        """Set at the next change; made on first use, since most attempts are never held."""
        if self._changed is None:
            self._changed = asyncio.Event()
        return self._changed

    @property
    def worked_seconds(self) -> float:
        """How long the attempt has run, without the time in which it was held."""
        now = self._held_since if self.reasons else time.monotonic()
        return now - self._began - self._held

    @property
    def held_seconds(self) -> float:
        """For how long it has been asked to wait, without a break; 0 while nothing holds it."""
        return time.monotonic() - self._held_since if self.reasons else 0.0

    async def worked(self, seconds: float) -> None:
        """Wait until `worked_seconds` has come to `seconds`."""
        while (left := seconds - self.worked_seconds) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self.reasons else left):
                    await self.change().wait()
