"""How long a failing call is tried again: growing waits with jitter, up to a limit."""

from __future__ import annotations

import asyncio
import random
import time


class Patience:
    """Waits between tries of one call; gives up `limit_seconds` after the first failure in a row.

    Jitter keeps a thousand clients of a restarted server from coming back in the same millisecond.
    """

    def __init__(
        self, limit_seconds: float, *, first_seconds: float = 0.1, longest_seconds: float = 2.0
    ) -> None:
        self._limit = limit_seconds
        self._first = first_seconds
        self._longest = longest_seconds
        self._failures = 0
        self._deadline: float | None = None

    def regained(self) -> None:
        """A try went well: the next failure starts counting anew."""
        self._failures = 0
        self._deadline = None

    async def wait(self, error: Exception) -> None:
        """Sleep before the next try, or raise the error when the limit would pass."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._limit
        pause = min(self._first * 2**self._failures, self._longest) * random.uniform(0.5, 1.0)  # noqa: S311
        if now + pause > self._deadline:
            raise error
        self._failures += 1
        await asyncio.sleep(pause)
