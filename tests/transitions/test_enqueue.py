"""enqueue: accepted once and visibly, or refused with a reason and nothing written."""

from __future__ import annotations

import msgspec
import pytest
import uuid_utils

from sluicegate import keys
from sluicegate.errors import Busy, Conflict, RequestError
from sluicegate.model import Policy
from sluicegate.store import dead_letters, endings, events, jobs
from sluicegate.store.connection import Store
from sluicegate.store.positions import position
from sluicegate.times import from_rfc3339
from sluicegate.tracing import TraceContext
from tests.support.contents import changed, contents, fields
from tests.support.job_builder import JobBuilder, now_ms

LANE = "0|work|||"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def told(results: list[jobs.Enqueued | RequestError]) -> list[tuple[str, bool]]:
    """What was said of each job: its id, and whether it was known."""
    return [(each.job_id, each.replayed) for each in results if isinstance(each, jobs.Enqueued)]


def new_id() -> str:
    return str(uuid_utils.uuid7())


async def bell(store: Store, policy: Policy) -> int:
    return int(await store.command("LLEN", keys.bell(policy.id)))


async def test_a_job_waits_in_its_lane(store: Store, builder: JobBuilder) -> None:
    before = await contents(store)
    submission = builder.submission(payload={"a": []})
    assert told(await jobs.enqueue(store, [submission])) == [(submission.id, False)]
    after = await contents(store)
    job = f"job:{submission.id}"
    assert changed(before, after) == {
        job, f"lane:{LANE}+w", "lanes", "ready", "status:queued", "counters", "events",
    }  # fmt: skip
    assert after[job].keys() == {"status", "lane", "spec", "created_at", "entry"}
    assert after[job]["spec"] == submission.spec.decode()
    entry = after[job]["entry"].removeprefix("+w")
    assert after[f"lane:{LANE}+w"]["entries"] == {entry: {"job": submission.id}}
    assert after["lanes"] == {f"{LANE}+w": "1"}
    assert after["status:queued"] == {submission.id: after[job]["created_at"]}
    assert after["counters"] == {"enqueued": "1"}


async def test_the_reply_shows_the_job_as_it_is_stored(store: Store, builder: JobBuilder) -> None:
    """What enqueue returns without reading back is what a read finds."""
    submissions = [builder.submission(payload={"a": 1}), builder.submission(delay_ms=60_000)]
    for result in await jobs.enqueue(store, submissions):
        assert isinstance(result, jobs.Enqueued)
        assert result.job == await jobs.get(store, result.job_id)


async def test_a_delayed_job_waits_for_its_time(store: Store, builder: JobBuilder) -> None:
    before = await contents(store)
    earliest = await now_ms(store) + 5000
    (job_id,) = await builder.enqueued(builder.submission(delay_ms=5000))
    after = await contents(store)
    assert changed(before, after) == {f"job:{job_id}", "delayed", "status:queued", "counters", "events"}
    due = int(after["delayed"][job_id])
    assert earliest <= due <= await now_ms(store) + 5000
    assert await fields(store, job_id) == {"status": "queued", "next_attempt_at": str(due)}


async def test_an_absolute_time_is_kept_as_it_is(store: Store, builder: JobBuilder) -> None:
    due = await now_ms(store) + 100_000
    (job_id,) = await builder.enqueued(builder.submission(due_ms=due))
    assert await store.command("ZSCORE", keys.DELAYED, job_id) == str(due)


@pytest.mark.parametrize("rest", [{"delay_ms": 0}, {"due_ms": 1}], ids=["no delay", "a past time"])
async def test_what_is_due_already_waits_at_once(
    store: Store, builder: JobBuilder, rest: dict[str, int]
) -> None:
    (job_id,) = await builder.enqueued(builder.submission(**rest))
    assert [job.id for job in await builder.claim()] == [job_id]


async def test_attempts_and_time_limit_are_stored_with_the_job(store: Store, builder: JobBuilder) -> None:
    (job_id,) = await builder.enqueued(builder.submission(max_attempts=7, max_run_ms=1500))
    stored = await fields(store, job_id)
    assert (stored["max_attempts"], stored["max_run_ms"]) == ("7", "1500")


async def test_the_trace_of_a_job_is_kept_with_it(store: Store, builder: JobBuilder) -> None:
    """Beside the job, not in it: the same job from another trace is the same job, and keeps its own."""
    submission = builder.submission(trace=TraceContext(PARENT, "a=1"))
    (result,) = await jobs.enqueue(store, [submission])
    assert isinstance(result, jobs.Enqueued) and result.job == await jobs.get(store, submission.id)
    assert (result.job.traceparent, result.job.tracestate) == (PARENT, "a=1")
    assert (await fields(store, submission.id))["trace"] == f"{PARENT} a=1"
    before = await contents(store)
    other = msgspec.structs.replace(submission, trace=None)
    assert told(await jobs.enqueue(store, [other])) == [(submission.id, True)]
    assert await contents(store) == before


async def test_every_attempt_of_a_job_is_of_its_trace(store: Store, builder: JobBuilder) -> None:
    """Through a retry, a lost worker and a new life."""
    made = await builder.running(max_attempts=1, trace=TraceContext(PARENT))
    await builder.ended(made, endings.Release(made.job_id, made.token, "shutting down"))
    (again,) = await builder.claim()
    await builder.ended(made, endings.Fail(made.job_id, int(again.lease_token or 0), "broken"))
    assert await dead_letters.redrive(store, [made.job_id], actor="ann") == [True]
    (redriven,) = await builder.claim()
    assert [job.traceparent for job in (again, redriven)] == [PARENT, PARENT]
    assert redriven.tracestate is None


async def test_the_first_event_of_a_job_costs_no_stream(store: Store, builder: JobBuilder) -> None:
    """`job.enqueued` is rendered with the id <createdAt>-0 and comes first, also after a claim (Q-5)."""
    (job_id,) = await builder.enqueued(builder.submission())
    assert await store.command("EXISTS", keys.job_events(job_id)) == 0
    created = from_rfc3339((await jobs.get(store, job_id)).created_at)
    assert [event.id for event in await events.page(store, job_id)] == [f"{created}-0"]
    await builder.claim()
    first, second = await events.page(store, job_id)
    assert (first.id, first.payload) == (f"{created}-0", {"kind": "job.enqueued"})
    assert second.id.endswith("-1")
    assert position(second.id) > position(first.id)


async def test_the_same_id_again_is_the_same_job(store: Store, builder: JobBuilder) -> None:
    """An id made by the client makes a repeated enqueue safe (Q-13)."""
    submission = builder.submission()
    await builder.enqueued(submission)
    before = await contents(store)
    assert told(await jobs.enqueue(store, [submission])) == [(submission.id, True)]
    assert await contents(store) == before


@pytest.mark.parametrize("state", ["running", "delayed", "returned", "succeeded", "cancelled", "dead_letter"])
async def test_the_id_of_a_job_that_went_on_is_still_taken(
    store: Store, builder: JobBuilder, state: str
) -> None:
    described = {"max_attempts": 1}
    made = await builder.made(state, **described)
    before = await contents(store)
    again = builder.submission(id=made.job_id, **described)
    assert told(await jobs.enqueue(store, [again])) == [(made.job_id, True)]
    assert await contents(store) == before


async def test_the_same_id_for_another_job_is_refused(store: Store, builder: JobBuilder) -> None:
    """Q-13: an id names one body."""
    made = await builder.waiting(payload={"n": 1})
    before = await contents(store)
    (result,) = await jobs.enqueue(store, [builder.submission(id=made.job_id, payload={"n": 2})])
    assert isinstance(result, Conflict)
    assert (result.code, result.extra) == ("idempotency_conflict", {"jobId": made.job_id})
    assert await contents(store) == before


async def test_a_key_is_remembered_with_its_body_and_producer(store: Store, builder: JobBuilder) -> None:
    """Q-13: same key and body, the first job; another body, refused; another producer's key is another."""
    (first,) = await builder.enqueued(builder.submission(unique="ann:k", fingerprint="one"))
    before = await contents(store)
    again = builder.submission(unique="ann:k", fingerprint="one")
    assert told(await jobs.enqueue(store, [again])) == [(first, True)]
    (refused,) = await jobs.enqueue(store, [builder.submission(unique="ann:k", fingerprint="two")])
    assert isinstance(refused, Conflict)
    assert refused.extra == {"jobId": first}
    assert await contents(store) == before
    other = builder.submission(unique="bob:k", fingerprint="two")
    assert told(await jobs.enqueue(store, [other])) == [(other.id, False)]


async def test_a_key_is_forgotten_in_time(store: Store, builder: JobBuilder) -> None:
    """Q-13: 24 hours by default."""
    await builder.enqueued(builder.submission(unique="ann:k", fingerprint="one"))
    left = await store.command("PTTL", f"{keys.Q}unique:ann:k")
    assert 86_300_000 < left <= 86_400_000


@pytest.mark.parametrize("fingerprint", ["", "with some spaces"])
async def test_a_fingerprint_is_any_text(store: Store, builder: JobBuilder, fingerprint: str) -> None:
    """An empty one once raised in the middle of a batch, after the first jobs had been written."""
    (first,) = await builder.enqueued(builder.submission(unique="ann:k", fingerprint=fingerprint))
    results = await jobs.enqueue(
        store, [builder.submission(), builder.submission(unique="ann:k", fingerprint=fingerprint)]
    )
    assert told([results[1]]) == [(first, True)]


async def test_a_batch_may_name_a_job_twice(store: Store, builder: JobBuilder) -> None:
    """Q-13: duplicates inside one batch are found, by id and by key, as two calls would."""
    one = builder.submission()
    keyed = [builder.submission(unique="ann:k", fingerprint="f") for _ in range(2)]
    conflicting = builder.submission(unique="ann:k", fingerprint="g")
    results = await jobs.enqueue(store, [one, one, *keyed, conflicting])
    assert told(results[:4]) == [
        (one.id, False), (one.id, True), (keyed[0].id, False), (keyed[0].id, True),
    ]  # fmt: skip
    assert isinstance(results[4], Conflict)
    assert (await jobs.counts(store)).queued == 2


async def test_a_batch_of_a_thousand_reports_per_job(store: Store, builder: JobBuilder) -> None:
    """Q-13: up to 1,000 jobs in one call, results in order, a refusal among them stops nobody."""
    taken = await builder.waiting()
    submissions = [builder.submission(priority=at % 7) for at in range(1000)]
    submissions[500] = builder.submission(id=taken.job_id, payload={"another": 1})
    results = await jobs.enqueue(store, submissions)
    assert isinstance(results.pop(500), Conflict)
    del submissions[500]
    assert told(results) == [(submission.id, False) for submission in submissions]
    assert (await jobs.counts(store)).queued == 1000


async def test_a_full_queue_refuses_and_keeps_what_it_has(store: Store, builder: JobBuilder) -> None:
    """Q-17: waiting and delayed jobs count; what was accepted before is still answered as such."""
    store.settings = msgspec.structs.replace(store.settings, max_queued=3)
    running = await builder.running()
    submission = builder.submission()
    await builder.enqueued(submission, builder.submission(delay_ms=60_000))
    results = await jobs.enqueue(store, [builder.submission(), builder.submission(), submission])
    assert isinstance(results[0], jobs.Enqueued)
    assert isinstance(results[1], Busy)
    assert results[1].code == "queue_full"
    assert told([results[2]]) == [(submission.id, True)]
    before = await contents(store)
    assert isinstance((await jobs.enqueue(store, [builder.submission(delay_ms=1)]))[0], Busy)
    assert await contents(store) == before
    assert (await jobs.get(store, running.job_id)).status == "running"


async def test_too_many_lanes_are_refused_old_ones_stay_open(store: Store, builder: JobBuilder) -> None:
    """Q-17: a job for a lane that is there needs no room, also not inside a batch."""
    store.settings = msgspec.structs.replace(store.settings, max_lanes=2)
    await builder.waiting(type="a")
    results = await jobs.enqueue(store, [builder.submission(type) for type in ("a", "b", "a", "b", "c", "c")])
    assert [isinstance(result, jobs.Enqueued) for result in results] == [True] * 4 + [False] * 2
    assert all(isinstance(result, Busy) and result.code == "queue_full" for result in results[4:])
    assert await store.command("HLEN", keys.LANES) == 2


async def test_new_work_rings_once_for_each_policy_that_may_read_it(
    store: Store, builder: JobBuilder
) -> None:
    """One token wakes one worker; what is not theirs wakes nobody."""
    everything, work, other = Policy(), Policy(types=("work",)), Policy(types=("other",))
    for policy in (everything, work, other):
        await builder.claim(policy)
    await builder.enqueued(*(builder.submission() for _ in range(3)))
    await builder.waiting(repository="host/a/b")
    assert [await bell(store, policy) for policy in (everything, work, other)] == [1, 1, 0]


async def test_a_delayed_job_rings_too(store: Store, builder: JobBuilder) -> None:
    """A worker that claimed before has to learn the time, for its own timer (Q-7).

    The head of all delayed jobs may be one that no living worker reads: it is no reason for silence.
    """
    work, other = Policy(types=("work",)), Policy(types=("other",))
    await builder.claim(work)
    await builder.claim(other)
    await builder.delayed(delay_ms=1000, type="other")
    assert (await bell(store, work), await bell(store, other)) == (0, 1)
    await builder.delayed(delay_ms=2000)
    assert (await bell(store, work), await bell(store, other)) == (1, 1)
