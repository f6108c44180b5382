"""How many requests one caller may make (70-19)."""

from __future__ import annotations

import pytest

from services.queue_api.routes import ROUTES
from sluicegate.errors import Busy
from sluicegate.http import rate_limits
from sluicegate.http.rate_limits import RateLimits
from sluicegate.http.replies import problem


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(limits: RateLimits, caller: str, times: int) -> int:
    """How many of so many requests pass."""
    passed = 0
    for _ in range(times):
        try:
            limits.take(caller)
            passed += 1
        except Busy as error:
            assert error.code == "rate_limited"
    return passed


def test_off_by_default() -> None:
    assert taken(RateLimits(0, 1), "ann", 1000) == 1000


def test_each_caller_has_a_burst_and_a_rate() -> None:
    clock = Clock()
    limits = RateLimits(2, 5, clock)
    assert (taken(limits, "ann", 10), taken(limits, "bob", 10)) == (5, 5)
    clock.now += 1.5
    assert taken(limits, "ann", 10) == 3
    clock.now += 3600
    assert taken(limits, "ann", 10) == 5


def test_a_refusal_says_when_to_come_back() -> None:
    limits = RateLimits(0.1, 1, Clock())
    limits.take("ann")
    with pytest.raises(Busy) as caught:
        limits.take("ann")
    assert problem(caught.value).headers["Retry-After"] == "10"


def test_no_more_callers_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 9: strangers cost no memory."""
    monkeypatch.setattr(rate_limits, "CALLERS", 3)
    limits = RateLimits(1, 1, Clock())
    for number in range(10):
        limits.take(f"caller-{number}")
    assert len(limits._buckets) == 3


def test_what_ends_or_extends_an_attempt_is_never_refused() -> None:
    """70-19."""
    free = {each.path.rpartition("/")[2] for each in ROUTES if each.unlimited}
    assert free >= {"heartbeat", "complete", "fail", "release", "finish", "ack"}
