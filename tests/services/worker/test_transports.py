"""What a worker may rely on, whichever way it reaches the queue: each call of the protocol on both ways."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from sluicegate import keys
from sluicegate.errors import Conflict, Invalid, LeaseLost, NotFound, StoreUninitialised
from sluicegate.model import LiveControl, NewEvent, Policy
from sluicegate.settings import Settings
from sluicegate.store import Store, cancellation, controls, events, jobs, pause, workers
from sluicegate.store.claims import Lease, Wishes
from sluicegate.store.control_feed import Control
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail, Release
from sluicegate.store.events import Append
from sluicegate.store.shelves import StepCheckpoint
from sluicegate.store.workers import Presence
from sluicegate.tracing import TraceContext
from sluicegate.worker.transports import Claimed, Transport
from tests.services.worker.conftest import ME, Way, claimed, held
from tests.support.contents import contents, kinds
from tests.support.job_builder import JobBuilder, Made
from tests.support.wait import until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, job_log_max_bytes=50_000)


def token_of(attempt: Claimed) -> Lease:
    return Lease(attempt.job_id, attempt.token, 60_000)


async def test_a_claim_brings_the_job_as_the_store_has_it(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    trace = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1")
    described = {"max_run_ms": 5000, "max_attempts": 2, "trace": trace}
    made = await make.waiting(payload={"a": [], "n": 2**60}, **described)
    found = await claimed(transport)
    (attempt,) = found.attempts
    assert (attempt.job_id, attempt.token, attempt.type, attempt.worker_id) == (made.job_id, 1, "work", ME)
    assert (attempt.max_run_seconds, attempt.is_last, attempt.trace) == (5.0, False, trace)
    assert attempt.waited_ms is not None and attempt.waited_ms >= 0
    shown = attempt.job()
    stored = await jobs.get(store, made.job_id)
    assert (shown.lease_token, stored.lease_token) == ("1", None)
    stored.lease_token = "1"
    assert shown == stored
    assert not found.system.workers_paused and found.system.version == (await pause.read(store)).version


async def test_a_repeated_request_gets_the_same_attempts(transport: Transport, make: JobBuilder) -> None:
    """Q-16."""
    await make.waiting()
    await make.waiting()
    first = await claimed(transport)
    again = await claimed(transport)
    other = await claimed(transport, request="r-2")
    assert [each.job_id for each in first.attempts] == [each.job_id for each in again.attempts]
    assert [each.token for each in again.attempts] == [1]
    assert {each.job_id for each in other.attempts}.isdisjoint(each.job_id for each in first.attempts)


async def test_a_claim_is_narrowed_by_its_policy(transport: Transport, make: JobBuilder) -> None:
    """Q-3, Q-4, 70-17: repositories are compared in one form."""
    await make.waiting(type="other")
    await make.waiting(capabilities=("gpu",))
    await make.waiting(repository="github.com/acme/b")
    fits = await make.waiting(repository="github.com/acme/a", capabilities=("git",))
    policy = Policy(types=("work",), repositories=("acme/a",), capabilities=("git",))
    found = await claimed(transport, limit=10, policy=policy)
    assert [each.job_id for each in found.attempts] == [fits.job_id]
    nothing = Policy(types=("work",), repositories=())
    assert (await claimed(transport, limit=10, policy=nothing, request="r-2")).attempts == []


async def test_an_enqueue_answers_the_claim_that_waits(transport: Transport, make: JobBuilder) -> None:
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(claimed(transport, wait=20))
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()
    made = await make.waiting()
    enqueued = loop.time()
    found = await asyncio.wait_for(waiting, 5)
    assert [each.job_id for each in found.attempts] == [made.job_id]
    assert loop.time() - enqueued < 1.0  # long before the safety poll


async def test_a_job_that_is_due_answers_the_claim_that_waits(transport: Transport, make: JobBuilder) -> None:
    """Q-7: within 100 ms of its time, sweeper or no sweeper; the test allows ten times that (70-62)."""
    made = await make.delayed(delay_ms=300)
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await asyncio.wait_for(claimed(transport, wait=20), 5)
    assert [each.job_id for each in found.attempts] == [made.job_id]
    assert 0.2 < loop.time() - began < 1.3


async def test_a_claim_that_waits_in_vain_says_so(transport: Transport) -> None:
    found = await asyncio.wait_for(claimed(transport, wait=0.2), 5)
    assert found.attempts == [] and not found.system.workers_paused


async def test_a_claim_that_is_woken_returns_and_claims_nothing_later(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """Q-14, Q-16: stopping does not wait for the long poll, and leaves no claim behind that nobody reads."""
    waiting = asyncio.create_task(claimed(transport, wait=20))
    await asyncio.wait([waiting], timeout=0.3)
    transport.wake()
    assert (await asyncio.wait_for(waiting, 2)).attempts == []
    made = await make.waiting()
    for _ in range(10):
        assert (await jobs.get(store, made.job_id)).status == "queued"


async def test_woken_it_returns_what_was_on_its_way(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """Q-16: woken in the very moment in which a job comes, it returns the job or leaves it in the queue."""
    for number in range(5):
        waiting = asyncio.create_task(claimed(transport, wait=20, request=f"r-{number}"))
        await asyncio.wait([waiting], timeout=0.05)
        made = await make.waiting()
        await asyncio.sleep(0.0005 * number)
        transport.wake()
        found = await asyncio.wait_for(waiting, 2)
        status = (await jobs.get(store, made.job_id)).status
        assert status == ("running" if found.attempts else "queued")
        if not found.attempts:
            found = await claimed(transport, request=f"s-{number}")
        assert [each.job_id for each in found.attempts] == [made.job_id]


async def test_while_paused_nothing_is_claimed(store: Store, transport: Transport, make: JobBuilder) -> None:
    """P-4, P-5."""
    await make.waiting()
    await pause.change(store, action="pause", mode="quiesce", reason="disk", actor="someone")
    found = await claimed(transport)
    assert found.attempts == []
    assert (found.system.workers_paused, found.system.mode, found.system.reason) == (True, "quiesce", "disk")


async def test_without_the_pause_record_nothing_is_claimed(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """P-11: unknown is not "not paused"."""
    await make.waiting()
    await store.command("DEL", keys.PAUSE)
    with pytest.raises(StoreUninitialised):
        await claimed(transport)
    assert await store.command("ZCARD", keys.status("queued")) == 1


async def test_renewing_tells_what_operators_want(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """C-10, P-5: cancel, an operator's controls and the pause state, with the lease."""
    plain, asked = await held(transport, make), await held(transport, make)
    await cancellation.cancel(store, asked.job_id, actor="someone", reason="enough")
    hard = controls.Request(action="pause", actor="ann", hard=True, reason="look", metadata={})
    await controls.request(store, plain.job_id, hard)
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    lost = Lease(asked.job_id, asked.token + 1, 60_000)
    missing = Lease("01890000-0000-7000-8000-000000000000", 1, 60_000)
    renewal = await transport.renew([token_of(plain), token_of(asked), lost, missing])
    first, second, third, fourth = renewal.items
    stored = {job.id: job for job in await jobs.read(store, [plain.job_id, asked.job_id]) if job}
    assert isinstance(first, Wishes) and isinstance(second, Wishes)
    assert first.live_control is not None and first.live_control.updated_at is not None
    assert msgspec.structs.replace(first.live_control, updated_at=None) == LiveControl(
        paused=True, hard=True, takeover=False, version=1, reason="look", requested_by_user_id="ann"
    )
    assert second.live_control is None
    assert (first.cancel_requested_at_ms, first.lease_expires_ms > 0) == (None, True)
    assert (second.cancel_requested_by, second.cancel_reason) == ("someone", "enough")
    assert second.cancel_requested_at_ms is not None
    assert stored[asked.job_id].cancel_requested_at is not None
    assert isinstance(third, LeaseLost)
    assert isinstance(fourth, NotFound)
    assert (renewal.system.workers_paused, renewal.system.mode) == (True, "drain")


async def test_endings_of_all_kinds_in_one_call(store: Store, transport: Transport, make: JobBuilder) -> None:
    """Each in its own way, and safe to repeat."""
    attempts = [await held(transport, make, max_attempts=1) for _ in range(5)]
    done, failed, dead, back, cancelled = attempts
    await cancellation.cancel(store, cancelled.job_id, actor="someone")
    receipt = {"signals": [], "survivors": []}
    endings: list[Ending] = [
        Complete(done.job_id, done.token, "all of it"),
        Cancelled(cancelled.job_id, cancelled.token, receipt=receipt),
        Fail(failed.job_id, failed.token, "no use", retryable=False, failure_class="broken"),
        Fail(dead.job_id, dead.token, "again no"),
        Release(back.job_id, back.token, "stopping"),
        Complete(done.job_id, done.token + 1, "stale"),
    ]
    for _ in range(2):
        outcomes = await transport.settle(endings)
        assert [type(outcome) for outcome in outcomes] == [type(None)] * 5 + [LeaseLost]
    states = [job.status for job in await jobs.read(store, [each.job_id for each in attempts]) if job]
    assert states == ["succeeded", "failed", "dead_letter", "queued", "cancelled"]
    assert (await jobs.get(store, done.job_id)).result_summary == "all of it"
    assert (await jobs.get(store, failed.job_id)).failure_class == "broken"
    last = (await events.page(store, cancelled.job_id))[-1]
    assert last.payload is not None
    assert (last.payload["kind"], last.payload["receipt"]) == ("job.cancelled", receipt)


async def test_more_endings_than_one_call_takes(store: Store, transport: Transport, make: JobBuilder) -> None:
    await make.enqueued(*(make.submission() for _ in range(130)))
    attempts = [
        *(await claimed(transport, limit=100)).attempts,
        *(await claimed(transport, limit=100, request="r-2")).attempts,
    ]
    outcomes = await transport.settle([Complete(each.job_id, each.token) for each in attempts])
    assert outcomes == [None] * 130
    assert (await jobs.counts(store)).succeeded == 130


async def test_an_ending_that_cannot_be_written_takes_no_other_with_it(
    store: Store, way: Way, transport: Transport, make: JobBuilder
) -> None:
    """A failure class that is no name is refused by the API; the attempt beside it must still end."""
    odd, done = await held(transport, make), await held(transport, make)
    outcomes = await transport.settle(
        [Fail(odd.job_id, odd.token, "no", failure_class="\n"), Complete(done.job_id, done.token)]
    )
    assert outcomes[1] is None
    assert (await jobs.get(store, done.job_id)).status == "succeeded"
    if way.name == "http":
        assert isinstance(outcomes[0], Invalid)


async def test_a_cancel_that_nobody_asked_for_is_not_acknowledged(
    transport: Transport, make: JobBuilder
) -> None:
    """C-5."""
    attempt = await held(transport, make)
    (outcome,) = await transport.settle([Cancelled(attempt.job_id, attempt.token)])
    assert isinstance(outcome, Conflict)


async def test_events_of_many_jobs_in_order(store: Store, transport: Transport, make: JobBuilder) -> None:
    """Q-5, 70-13: under the lease; a refused one holds up no other."""
    first, second = await held(transport, make), await held(transport, make)
    appends = [
        Append(each.job_id, each.token, NewEvent(message="äöü", level="warn", payload={"n": number}))
        for number in range(3)
        for each in (first, second)
    ]
    stale = Append(first.job_id, first.token + 1, NewEvent(message="stale"))
    outcomes = await transport.append_events([*appends[:2], stale, *appends[2:]])
    assert [type(each) for each in outcomes] == [type(None)] * 2 + [LeaseLost] + [type(None)] * 4
    for attempt in (first, second):
        told = [event for event in await events.page(store, attempt.job_id) if event.message == "äöü"]
        assert [event.payload for event in told] == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert {event.level for event in told} == {"warn"}


async def test_log_events_beyond_the_limit_are_no_error(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """Q-6."""
    attempt = await held(transport, make)
    log = NewEvent(message="x", payload={"kind": "log", "text": "x" * 30_000})
    outcomes = await transport.append_events([Append(attempt.job_id, attempt.token, log)] * 4)
    assert outcomes == [None] * 4
    assert "events.truncated" in await kinds(store, attempt.job_id)


def checkpoint(index: int, summary: str = "did it") -> StepCheckpoint:
    return StepCheckpoint(
        step_id=f"step-{index + 1}", step_index=index, attempt=1, diff_hash="a", tree_hash="b",
        changed_files=["one", "zwei ä"], summary=summary, finished_at="2026-01-31T12:00:00.000Z",
        patch_artifact=f"patches/step-{index + 1}",
    )  # fmt: skip


async def test_steps_and_facts_are_kept_under_the_lease(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """H-7, H-8: what the next attempt goes on from."""
    attempt = await held(transport, make)
    job_id, token = attempt.job_id, attempt.token
    await transport.save_step(job_id, token, checkpoint(1))
    await transport.save_step(job_id, token, checkpoint(0, "first"))
    await transport.save_step(job_id, token, checkpoint(0, "again"))
    assert await transport.state_fact(job_id, token, "start_commit", "abc") == "abc"
    assert await transport.state_fact(job_id, token, "start_commit", "def") == "abc"
    before = await contents(store)
    with pytest.raises(LeaseLost):
        await transport.save_step(job_id, token + 1, checkpoint(2))
    with pytest.raises(LeaseLost):
        await transport.state_fact(job_id, token + 1, "other", "x")
    assert await contents(store) == before
    assert await transport.steps(job_id) == [checkpoint(0, "again"), checkpoint(1)]


async def test_what_changes_under_the_lease(store: Store, transport: Transport, make: JobBuilder) -> None:
    """H-2, 70-24: used budgets, and steps that are to run again; a stale holder changes nothing."""
    attempt = await held(transport, make)
    job_id, token = attempt.job_id, attempt.token
    assert await transport.facts(job_id) == {}
    await transport.change_fact(job_id, token, "step_budget", "1")
    await transport.change_fact(job_id, token, "step_budget", "x" * 10_000)
    await transport.state_fact(job_id, token, "start_commit", "abc")
    for index in range(3):
        await transport.save_step(job_id, token, checkpoint(index))
    await transport.drop_steps(job_id, token, 1)
    before = await contents(store)
    with pytest.raises(LeaseLost):
        await transport.change_fact(job_id, token + 1, "step_budget", "2")
    with pytest.raises(LeaseLost):
        await transport.drop_steps(job_id, token + 1, 0)
    assert await contents(store) == before
    assert await transport.facts(job_id) == {"step_budget": "x" * 10_000, "start_commit": "abc"}
    assert await transport.steps(job_id) == [checkpoint(0)]


async def test_operators_words_are_pushed(store: Store, transport: Transport, make: JobBuilder) -> None:
    """C-10, P-7: pause, resume, and the cancel of the jobs that this worker runs."""
    heard: list[Control] = []
    attempt = await held(transport, make)
    another = await make.running(worker="worker-2")
    await transport.watch(heard.append)
    await cancellation.cancel(store, another.job_id, actor="someone")
    await cancellation.cancel(store, attempt.job_id, actor="someone")
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    await until(lambda: any(c.system and c.system.workers_paused for c in heard), "the pause is heard")
    mine = [c for c in heard if c.job_id == attempt.job_id]
    assert [(c.kind, c.token) for c in mine] == [("cancel", attempt.token)]
    assert mine[0].at_ms > 0
    assert Made(another.job_id) not in mine


def presence() -> Presence:
    return Presence(
        worker_id=ME, host="here", pid=1, version="1", transport="redis", capabilities=["git"],
        types=["work"], slots=2, state="idle", jobs=[],
    )  # fmt: skip


async def test_a_worker_is_there_until_it_departs(store: Store, way: Way, transport: Transport) -> None:
    """70-46: whichever way it came, it is seen."""
    await transport.announce(presence())
    (seen,) = await workers.listing(store)
    assert (seen.worker_id, seen.transport, seen.capabilities) == (ME, way.name, ["git"])
    await transport.depart()
    assert await workers.listing(store) == []


async def test_a_sibling_serves_another_loop(transport: Transport, make: JobBuilder) -> None:
    """The heartbeat thread's: under the same name, on a connection of its own."""
    attempt = await held(transport, make)
    outcome: list[Any] = []

    async def renew() -> None:
        sibling = transport.sibling()
        await sibling.open()
        try:
            outcome.append((sibling.worker_id, (await sibling.renew([token_of(attempt)])).items))
        finally:
            await sibling.close()

    thread = threading.Thread(target=lambda: asyncio.run(renew()))
    thread.start()
    await asyncio.to_thread(thread.join)
    ((name, (wishes,)),) = outcome
    assert name == ME and isinstance(wishes, Wishes)
