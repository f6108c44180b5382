"""The claim loop: as many jobs as there are free slots, nothing lost, paused is idle, stops in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sluicegate.errors import Forbidden, LeaseLost, OutcomeUnknown, StoreUnavailable, Unauthenticated
from sluicegate.model import Policy, SystemState
from sluicegate.settings import WorkerSettings
from sluicegate.store.claims import Attempt
from sluicegate.worker.claim_loop import MAX_CLAIM, WAIT_SECONDS, ClaimLoop
from sluicegate.worker.controls import PauseState
from tests.support.scripted_transport import ScriptedTransport, claimed, found
from tests.support.wait import until

PAUSED = SystemState(workers_paused=True, mode="drain", reason="upgrade", version=2)


class Slots:
    """The worker around the loop: what it started, and how many slots are free."""

    def __init__(
        self, queue: ScriptedTransport, free: int, pause_poll_ms: int = 3_600_000, **settings: float
    ) -> None:
        self.started: list[str] = []
        self.free = free
        self.pause = PauseState("worker-1", lambda: None)
        self.stop = asyncio.Event()
        chosen = WorkerSettings(pause_poll_interval_ms=pause_poll_ms, **settings)  # type: ignore[arg-type]
        self.loop = ClaimLoop(
            queue, chosen, Policy(), self.pause, free_slots=lambda: self.free, start=self._start,
            measure=lambda _: None,
        )  # fmt: skip

    def _start(self, attempt: Attempt) -> None:
        self.started.append(attempt.job_id)
        self.free -= 1

    def end_one(self) -> None:
        self.free += 1
        self.loop.slot_freed()


@pytest.fixture
def queue() -> ScriptedTransport:
    return ScriptedTransport()


@asynccontextmanager
async def running(slots: Slots) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(slots.loop.run_until(slots.stop))
    try:
        yield task
    finally:
        slots.stop.set()
        await asyncio.wait_for(task, 5)


def jobs(*numbers: int) -> list[Attempt]:
    return [claimed(f"job-{number}") for number in numbers]


async def test_free_slots_are_filled_and_freed_ones_again(queue: ScriptedTransport) -> None:
    queue.answers.extend([found(*jobs(1, 2)), found(*jobs(3)), found(*jobs(4))])
    slots = Slots(queue, free=2)
    async with running(slots):
        await until(lambda: slots.free == 0, "both slots are busy")
        assert [limit for limit, _ in queue.requests] == [2]
        slots.end_one()
        await until(lambda: len(slots.started) == 3, "the freed slot is filled")
    assert [limit for limit, _ in queue.requests][:2] == [2, 1]
    assert len({request for _, request in queue.requests}) == len(queue.requests)


async def test_slots_that_end_together_are_filled_by_one_claim(queue: ScriptedTransport) -> None:
    queue.answers.extend([found(*jobs(1, 2, 3)), found(*jobs(4, 5, 6))])
    slots = Slots(queue, free=3)
    async with running(slots):
        await until(lambda: slots.free == 0, "all are busy")
        for _ in range(3):
            slots.end_one()
        await until(lambda: len(slots.started) == 6, "all are filled again")
    assert [limit for limit, _ in queue.requests][:2] == [3, 3]


async def test_jobs_that_are_all_there_are_begin_before_the_next_claim(queue: ScriptedTransport) -> None:
    """Preparing that claim takes longer than what a handler waits for otherwise."""
    queue.answers.append(found(*jobs(1, 2)))
    slots = Slots(queue, free=3)
    claims_before: list[int] = []

    async def begin() -> None:
        claims_before.append(len(queue.requests))

    async with asyncio.TaskGroup() as attempts:
        slots.loop._start = lambda _: attempts.create_task(begin())  # type: ignore[assignment]
        async with running(slots):
            await until(lambda: len(queue.requests) > 1, "it claims again")
    assert claims_before == [1, 1]


async def test_no_claim_asks_for_more_than_the_queue_gives_at_once(queue: ScriptedTransport) -> None:
    slots = Slots(queue, free=10_000)
    async with running(slots):
        await until(lambda: queue.requests, "it claims")
    assert queue.requests[0][0] == MAX_CLAIM


async def test_a_lost_reply_is_asked_for_again_with_the_same_request(queue: ScriptedTransport) -> None:
    """Q-16: repeating a claim returns the same jobs, so nothing is lost and nothing claimed twice."""
    queue.answers.extend([OutcomeUnknown("?"), StoreUnavailable("gone"), found(*jobs(1))])
    slots = Slots(queue, free=1)
    async with running(slots):
        await until(lambda: slots.started, "the job is started")
    assert slots.started == ["job-1"]
    assert len({request for _, request in queue.requests[:3]}) == 1


async def test_paused_is_idle_until_the_resume_is_pushed(queue: ScriptedTransport) -> None:
    """P-7: no error, no polling in a circle; the push of the resume wakes it, hours before its poll."""
    queue.system = PAUSED
    slots = Slots(queue, free=1)
    async with running(slots):
        await until(lambda: slots.pause.state.workers_paused, "it has seen the pause")
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(queue.requests) == 1
        assert queue.waits == []
        queue.system = SystemState(workers_paused=False, version=3)
        queue.answers.append(found(*jobs(1), system=queue.system))
        slots.loop.look()
        await until(lambda: slots.started, "it claims")
    assert len(queue.requests) == 2


async def test_paused_it_looks_again_at_intervals(queue: ScriptedTransport) -> None:
    """P-7: a resume whose push was lost is found by SLUICEGATE_PAUSE_POLL_INTERVAL_MS."""
    queue.system = PAUSED
    slots = Slots(queue, free=1, pause_poll_ms=10)
    async with running(slots):
        await until(lambda: len(queue.requests) == 4, "it has looked again and again")
        assert slots.started == []
        queue.system = SystemState(workers_paused=False, version=3)
        queue.answers.append(found(*jobs(1), system=queue.system))
        await until(lambda: slots.started, "it claims")


async def test_a_resume_pushed_while_the_claim_is_under_way_is_not_missed(queue: ScriptedTransport) -> None:
    """P-7: the reply that says "paused" may be older than the push."""
    queue.hold.clear()
    queue.answers.extend([found(system=PAUSED), found(*jobs(1))])
    slots = Slots(queue, free=1)
    async with running(slots):
        await until(lambda: queue.writing, "the claim is under way")
        slots.loop.look()
        queue.hold.set()
        await until(lambda: slots.started, "it looks again")


async def test_one_claim_waits_for_work(queue: ScriptedTransport) -> None:
    """An idle worker costs a call now and then: the claim itself waits."""
    slots = Slots(queue, free=1)
    async with running(slots):
        await until(lambda: queue.waits, "it waits")
        for _ in range(100):
            await asyncio.sleep(0)
    assert queue.waits == [WAIT_SECONDS]


@pytest.mark.parametrize("refusal", [Unauthenticated("revoked"), Forbidden("another worker's")], ids=type)
async def test_a_worker_that_is_not_let_in_does_not_try_again(
    queue: ScriptedTransport, refusal: Exception
) -> None:
    """Q-2: nothing will change by itself."""
    queue.answers.append(refusal)
    slots = Slots(queue, free=1)
    with pytest.raises(type(refusal)):
        await asyncio.wait_for(slots.loop.run_until(slots.stop), 1)
    assert len(queue.requests) == 1


async def test_a_claim_under_way_is_finished_and_its_jobs_started(queue: ScriptedTransport) -> None:
    """Q-14: they are released in order then; dropping the reply would cost them an attempt each."""
    queue.hold.clear()
    queue.answers.append(found(*jobs(1)))
    slots = Slots(queue, free=2)
    async with running(slots) as task:
        await until(lambda: queue.writing, "the claim is under way")
        slots.stop.set()
        await asyncio.sleep(0)
        queue.hold.set()
        await asyncio.wait_for(task, 1)
    assert slots.started == ["job-1"]
    assert len(queue.requests) == 1


async def test_stopping_claims_nothing_more_while_the_store_is_away(queue: ScriptedTransport) -> None:
    queue.answers.extend([StoreUnavailable("gone")] * 50)
    slots = Slots(queue, free=1)
    async with running(slots) as task:
        await until(lambda: queue.requests, "it has tried")
        slots.stop.set()
        await asyncio.wait_for(task, 1)
    assert len(queue.requests) <= 2


async def test_stopping_asks_once_more_for_jobs_whose_reply_was_lost(queue: ScriptedTransport) -> None:
    """Q-14, Q-16: they may be ours already; nobody else gets them before their leases end."""
    queue.hold.clear()
    queue.answers.extend([OutcomeUnknown("?"), found(*jobs(1))])
    slots = Slots(queue, free=1)
    async with running(slots) as task:
        await until(lambda: queue.writing, "the claim is under way")
        slots.stop.set()
        await asyncio.sleep(0)
        queue.hold.set()
        await asyncio.wait_for(task, 1)
    assert slots.started == ["job-1"]
    assert len({request for _, request in queue.requests}) == 1
    assert queue.policies == [Policy(), Policy(types=())]  # and for nothing that is new


async def test_an_answer_older_than_its_leases_is_not_believed(queue: ScriptedTransport) -> None:
    """Q-9: a process that stood still reads a claim whose jobs run elsewhere by now; it started them."""
    late = found(*jobs(1, 2), seconds=WorkerSettings().worker_lease_seconds)
    queue.answers.append(late)
    queue.wishes["job-1"] = LeaseLost("it is another's")
    slots = Slots(queue, free=2)
    async with running(slots):
        await until(lambda: slots.started, "what it still holds is started")
    assert slots.started == ["job-2"]


@pytest.mark.parametrize("state", ["waiting for work", "busy", "paused"])
async def test_it_stops_at_once_whatever_it_waits_for(queue: ScriptedTransport, state: str) -> None:
    queue.system = PAUSED if state == "paused" else queue.system
    slots = Slots(queue, free=0 if state == "busy" else 1)
    async with running(slots) as task:
        if state != "busy":
            await until(lambda: queue.waits or slots.pause.state.version == 2, "it waits")
        slots.stop.set()
        await asyncio.wait_for(task, 1)


async def test_cancelled_it_leaves_no_claim_behind(queue: ScriptedTransport) -> None:
    """The loop went on claiming for a worker that was gone."""
    slots = Slots(queue, free=1)
    task = asyncio.create_task(slots.loop.run_until(slots.stop))
    await until(lambda: queue.waits, "it waits for work")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    claims = len(queue.requests)
    await asyncio.sleep(0)
    assert len(queue.requests) == claims


async def test_a_defect_ends_the_loop_loudly(queue: ScriptedTransport) -> None:
    queue.answers.append(KeyError("a field that is not there"))
    slots = Slots(queue, free=1)
    with pytest.raises(KeyError):
        await asyncio.wait_for(slots.loop.run_until(slots.stop), 1)
