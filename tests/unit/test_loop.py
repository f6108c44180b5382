"""The one way in which background roles start, stop, back off and report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from sluicegate import loop as module
from sluicegate.errors import StoreUnavailable
from sluicegate.loop import LONGEST_BACK_OFF_SECONDS, Counts, Loop
from tests.support.wait import until

HOUR = 3600.0


class Role(Loop):
    name = "role"

    def __init__(
        self, *does: Counts | Exception | Callable[[], None], interval_seconds: float = HOUR
    ) -> None:
        super().__init__(interval_seconds)
        self.does = list(does)
        self.passes = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def run_once(self) -> Counts:
        self.passes += 1
        await self.hold.wait()
        what = self.does.pop(0) if self.does else {"done": 0}
        if isinstance(what, Exception):
            raise what
        return what  # type: ignore[return-value]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a loop meant to wait after each pass; it does not really."""
    found: list[float] = []
    real = asyncio.timeout

    def timeout(seconds: float) -> asyncio.Timeout:
        found.append(seconds)
        return real(0)

    monkeypatch.setattr(module.asyncio, "timeout", timeout)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: 0.0)
    return found


async def test_passes_come_at_the_interval(waits: list[float]) -> None:
    role = Role(interval_seconds=5)
    role.start()
    await until(lambda: role.passes > 3, "three passes")
    await role.stop()
    assert set(waits) == {5}


async def test_a_pass_that_did_something_is_followed_at_once(waits: list[float]) -> None:
    role = Role({"done": 3, "left": 0}, {"done": 1}, interval_seconds=5)
    role.start()
    await until(lambda: len(waits) >= 3, "three passes")
    await role.stop()
    assert waits[:3] == [0, 0, 5]


@pytest.mark.parametrize(("bound", "wait"), [(-1, 4.5), (1, 5.5)])
async def test_the_interval_varies_a_little(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, bound: int, wait: float
) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda low, high: {-1: low, 1: high}[bound])
    role = Role(interval_seconds=5)
    role.start()
    await until(lambda: waits, "a pass")
    await role.stop()
    assert waits[0] == pytest.approx(wait)


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), KeyError("a defect")], ids=["ours", "a defect"])
async def test_errors_back_off_and_a_good_pass_ends_that(waits: list[float], error: Exception) -> None:
    role = Role(*[error] * 7, {"done": 0}, error, interval_seconds=1)
    role.start()
    await until(lambda: len(waits) >= 9, "nine passes")
    await role.stop()
    assert waits[:9] == [2, 4, 8, 16, 30, 30, 30, 1, 2]


async def test_a_slow_role_never_waits_less_for_an_error(waits: list[float]) -> None:
    role = Role(StoreUnavailable("gone"), interval_seconds=HOUR)
    role.start()
    await until(lambda: waits, "a pass")
    await role.stop()
    assert waits[0] == HOUR


async def test_a_day_of_failures_does_not_end_it(waits: list[float]) -> None:
    """After 1,024 failures in a row the wait no longer fitted into a float, and the loop ended silently."""
    role = Role(*[StoreUnavailable("gone")] * 1100, interval_seconds=0.5)
    role.start()
    await until(lambda: role.passes > 1100, "it goes on")
    await role.stop()
    assert max(waits) == LONGEST_BACK_OFF_SECONDS


async def test_stop_before_start_means_never(waits: list[float]) -> None:
    role = Role()
    await role.stop()
    role.start()
    await asyncio.sleep(0)
    assert role.passes == 0


async def test_starting_twice_is_once(waits: list[float]) -> None:
    role = Role()
    role.hold.clear()
    role.start()
    role.start()
    await until(lambda: role.passes, "a pass")
    assert role.passes == 1
    role.hold.set()
    await role.stop()


async def test_stop_lets_the_pass_under_way_end_and_returns_when_stopped() -> None:
    role = Role({"done": 1})
    role.hold.clear()
    role.start()
    await until(lambda: role.passes, "a pass is under way")
    stops = [asyncio.create_task(role.stop()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in stops)
    role.hold.set()
    await asyncio.gather(*stops)
    assert (role.passes, role.does) == (1, [])
    await role.stop()


async def test_stop_does_not_wait_for_the_interval() -> None:
    role = Role()
    role.start()
    await until(lambda: role.passes, "a pass")
    await asyncio.wait_for(role.stop(), 1)


async def test_the_lag_grows_until_a_pass_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that hung, and one that failed again and again, showed no lag: an alert slept through both."""
    clock = [1000.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    role = Role(StoreUnavailable("gone"), {"done": 0}, interval_seconds=HOUR)
    assert role.lag_seconds == 0
    role.hold.clear()
    role.start()
    await until(lambda: role.passes, "a pass is under way")
    clock[0] += 40
    assert role.lag_seconds == 40, "it hangs"
    monkeypatch.setattr(module, "_back_off", lambda wait, failures: 0.0)
    role.hold.set()
    await until(lambda: not role.does, "one that failed, one that did not")
    await until(lambda: role.lag_seconds == 0, "no lag")
    clock[0] += 2 * HOUR
    assert role.lag_seconds > 0.8 * HOUR, "the next one is due an hour after the last"
    await role.stop()
    assert role.lag_seconds == 0
