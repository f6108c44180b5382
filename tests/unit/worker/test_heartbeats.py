"""Heartbeats: in a thread of their own, whatever the worker's loop is doing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from sluicegate.errors import (
    ConfigurationError,
    Forbidden,
    LeaseLost,
    SluicegateError,
    StoreUnavailable,
    Unauthenticated,
)
from sluicegate.metrics import WorkerMetrics
from sluicegate.model import SystemState
from sluicegate.store.claims import Lease, Renewal, Wishes
from sluicegate.store.workers import Clocks, Presence
from sluicegate.worker.heartbeats import Beat, Heartbeats
from tests.support.scripted_transport import ScriptedTransport
from tests.support.wait import until, until_sync

HELD = [Lease("job-1", 1, 30_000), Lease("job-2", 4, 30_000)]
Make = Callable[[], Heartbeats]


def presence() -> Presence:
    return Presence(
        worker_id="worker-1", host="here", pid=1, version="1", transport="redis", capabilities=[], types=None,
        slots=1, state="idle", jobs=[],
    )  # fmt: skip


@pytest.fixture
def queue() -> ScriptedTransport:
    return ScriptedTransport()


@pytest.fixture
def heard() -> list[tuple[list[Beat], SystemState]]:
    return []


@pytest.fixture
def leases() -> list[Lease]:
    return list(HELD)


@pytest.fixture
def dismissals() -> list[SluicegateError]:
    return []


@pytest.fixture
async def heartbeats(
    queue: ScriptedTransport,
    heard: list[tuple[list[Beat], SystemState]],
    leases: list[Lease],
    dismissals: list[SluicegateError],
) -> AsyncIterator[Heartbeats]:
    def deliver(beats: Sequence[Beat], system: SystemState) -> None:
        assert threading.current_thread() is threading.main_thread()
        heard.append((list(beats), system))

    beating = Heartbeats(
        queue, interval_seconds=0.01, leases=lambda: leases, presence=presence, deliver=deliver,
        dismissed=dismissals.append,
        metrics=WorkerMetrics(CollectorRegistry()),
    )  # fmt: skip
    yield beating
    await beating.stop()
    assert not [each for each in threading.enumerate() if each.name == "heartbeats"]


async def test_one_call_renews_all_and_says_what_operators_want(
    queue: ScriptedTransport, heartbeats: Heartbeats, heard: list[tuple[list[Beat], SystemState]]
) -> None:
    """C-10, P-5: a worker that missed every push learns of a cancel and of a pause by its heartbeat."""
    cancel = Wishes(0, 123, "someone", "enough", None)
    queue.wishes = {"job-1": cancel, "job-2": LeaseLost("it is another's")}
    queue.system = SystemState(workers_paused=True, mode="quiesce", reason="disk", version=2)
    heartbeats.start()
    await until(lambda: heard, "it has been heard")
    assert queue.renewed[0] == HELD
    beats, system = heard[0]
    assert beats == list(zip(HELD, queue.wishes.values(), strict=True))
    assert system == queue.system


async def test_a_blocked_loop_costs_no_lease(queue: ScriptedTransport, heartbeats: Heartbeats) -> None:
    heartbeats.start()
    until_sync(lambda: len(queue.renewed) > 5, "it beats while the loop stands still")


async def test_without_leases_nothing_is_sent_but_the_presence_is(
    queue: ScriptedTransport, heartbeats: Heartbeats, leases: list[Lease]
) -> None:
    leases.clear()
    heartbeats.start()
    await until(lambda: queue.announced, "it is announced")
    assert queue.renewed == []


@pytest.mark.parametrize(
    ("call", "errors"),
    [
        ("open", [StoreUnavailable("gone"), ConfigurationError("not yet")]),
        ("renew", [StoreUnavailable("gone")]),
        ("renew", [KeyError("a defect")]),
    ],
)
async def test_it_goes_on_after_an_error(
    queue: ScriptedTransport,
    heartbeats: Heartbeats,
    heard: list[tuple[list[Beat], SystemState]],
    call: str,
    errors: list[Exception],
) -> None:
    """A thread that ended silently let every lease of the worker run out."""
    queue.fail(call, *errors)
    heartbeats.start()
    await until(lambda: heard, "it beats again")


@pytest.mark.parametrize("refusal", [Unauthenticated("revoked"), Forbidden("another's")], ids=type)
async def test_a_worker_whose_credential_is_refused_learns_of_it(
    queue: ScriptedTransport, heartbeats: Heartbeats, dismissals: list[SluicegateError], refusal: Exception
) -> None:
    """Q-2: a busy worker claims nothing that would tell it."""
    queue.fail("renew", refusal)
    heartbeats.start()
    await until(lambda: dismissals, "it is told")
    assert dismissals == [refusal]


async def test_stopping_does_not_wait_for_the_next_beat(queue: ScriptedTransport) -> None:
    slow = Heartbeats(
        queue, interval_seconds=10, leases=lambda: HELD, presence=presence, deliver=lambda *_: None,
        dismissed=lambda error: None, metrics=WorkerMetrics(CollectorRegistry()),
    )  # fmt: skip
    slow.start()
    await until(lambda: queue.announced, "it has beaten once")
    began = time.monotonic()
    await slow.stop()
    assert time.monotonic() - began < 2
    assert queue.opened == queue.closed == 1


async def test_what_a_beat_takes_does_not_put_off_the_next(
    queue: ScriptedTransport, heartbeats: Heartbeats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-10: "within one heartbeat" is from beat to beat. The interval came on top of what each beat took."""
    at: list[float] = []
    renew = queue.renew

    async def slow(leases: Sequence[Lease]) -> Renewal:
        at.append(time.monotonic())
        await asyncio.sleep(0.2)
        return await renew(leases)

    monkeypatch.setattr(queue, "renew", slow)
    monkeypatch.setattr(heartbeats, "_interval", 0.2)
    heartbeats.start()
    await until(lambda: len(at) > 5, "it beats")
    assert min(later - earlier for earlier, later in pairwise(at)) < 0.35


async def test_stop_may_come_before_start(heartbeats: Heartbeats) -> None:
    """A worker whose store went away while it started failed with another error than that one."""
    await heartbeats.stop()


async def test_a_changed_presence_is_told_before_the_next_beat(queue: ScriptedTransport) -> None:
    """70-23: and changes that come together are told together; so is the end of a silence."""
    waiting: list[str] = []
    clocks = [Clocks(job_id="job-1", ran_seconds=90, silent_seconds=40)]
    beating = Heartbeats(
        queue, interval_seconds=3600.0, leases=list, deliver=lambda beats, system: None,
        presence=lambda: msgspec.structs.replace(presence(), paused_jobs=list(waiting), clocks=list(clocks)),
        dismissed=lambda error: None, metrics=WorkerMetrics(CollectorRegistry()),
    )  # fmt: skip
    beating.tell()  # nobody is there yet to tell
    beating.start()
    try:
        await until(lambda: queue.announced, "it is announced")
        for number in range(50):
            waiting.append(f"job-{number}")
            beating.tell()
        await until(lambda: queue.announced[-1].paused_jobs == waiting, "all of them are told", timeout=3)
        assert len(queue.announced) <= 5
        clocks[0] = Clocks(job_id="job-1", ran_seconds=91, silent_seconds=0)
        beating.tell()
        await until(lambda: queue.announced[-1].clocks == clocks, "its life is told", timeout=3)
    finally:
        await beating.stop()
