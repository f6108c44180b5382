"""How many requests one caller may make: off unless SLUICEGATE_RATE_LIMIT is set (70-19).

A token bucket for each caller and process. What ends or extends an attempt is never refused: a worker that is
kept from it would lose work that is done.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from sluicegate.errors import Busy

CALLERS: Final = 10_000
"""Callers that are remembered; one that was not heard of for longest is forgotten, and has a full bucket."""


class RateLimits:
    """rate: requests per second that a caller may make in the long run. burst: those at once."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a request. Raises Busy (rate_limited) when the caller made too many."""
        if self._rate <= 0:
            return
        now = self._clock()
        left, since = self._buckets.pop(caller, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._rate)
        if left >= 1:
            self._buckets[caller] = left - 1, now
        else:
            self._buckets[caller] = left, now
        while len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise Busy(
                f"more than {self._rate:g} requests a second (SLUICEGATE_RATE_LIMIT)",
                code="rate_limited",
                retryAfterSeconds=math.ceil((1 - left) / self._rate),
            )
