"""Jobs through the client: the same behaviour over HTTP and over the store (70-58)."""

from __future__ import annotations

from typing import Any

import pytest
import uuid_utils
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from sluicegate.client import Client
from sluicegate.errors import Conflict, Invalid, NotFound, RequestError, SluicegateError, TooLarge
from sluicegate.model import Job, NewJob
from sluicegate.store.connection import Store
from tests.support import given

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def test_an_enqueued_job_is_what_was_asked_for(client: Client) -> None:
    job = await client.enqueue(
        type="noop", payload={"a": [1, {"b": None}]}, priority=7, affinity_key="k", max_attempts=2
    )
    assert (job.type, job.status, job.priority, job.attempt) == ("noop", "queued", 7, 1)
    assert (job.payload, job.affinity_key, job.max_attempts) == ({"a": [1, {"b": None}]}, "k", 2)
    assert job.created_by_user_id == "local-operator"
    assert await client.get(job.id) == job


async def test_a_job_is_of_the_trace_that_its_producer_is_in(client: Client) -> None:
    trace_id, span_id = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
    context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))
    with use_span(NonRecordingSpan(context)):
        one = await client.enqueue(type="noop")
        (two,) = await client.enqueue_many([{"type": "noop"}])
    assert isinstance(two, Job)
    for job in (one, two):
        assert job.traceparent == f"00-{trace_id:032x}-{span_id:016x}-01"
    assert (await client.enqueue(type="noop")).traceparent is None


async def test_a_waiting_job_says_what_for(client: Client) -> None:
    """Q-19."""
    job = await client.enqueue(type="noop", required_capabilities=["gpu"])
    found = await client.why(job.id)
    assert (found.job_id, found.status) == (job.id, "queued")
    assert [reason.code for reason in found.reasons][-2:] == ["no_worker_with_capability", "position"]
    await client.cancel(job.id)
    assert (await client.why(job.id)).reasons == []
    with pytest.raises(NotFound):
        await client.why(UNKNOWN)


async def test_a_job_may_be_given_in_three_forms(client: Client) -> None:
    jobs = [
        await client.enqueue(NewJob(type="noop", payload={"n": 1}, max_run_seconds=5)),
        await client.enqueue({"type": "noop", "payload": {"n": 1}, "maxRunSeconds": 5}),
        await client.enqueue(type="noop", payload={"n": 1}, max_run_seconds=5),
    ]
    assert len({job.id for job in jobs}) == 3
    assert {(job.type, job.payload["n"], job.max_run_seconds) for job in jobs} == {("noop", 1, 5.0)}


async def test_a_job_cannot_be_given_twice_or_not_at_all(client: Client) -> None:
    with pytest.raises(TypeError):
        await client.enqueue()
    with pytest.raises(TypeError):
        await client.enqueue(NewJob(type="noop"), priority=1)


async def test_repeating_an_id_finds_the_first_job(client: Client, store: Store) -> None:
    """Q-13: an id drawn by the client makes a repeat safe."""
    job_id = str(uuid_utils.uuid7())
    first = await client.enqueue(type="noop", payload={"n": 1}, id=job_id)
    again = await client.enqueue(type="noop", payload={"n": 1}, id=job_id)
    assert first == again
    with pytest.raises(Conflict) as refused:
        await client.enqueue(type="noop", payload={"n": 2}, id=job_id)
    assert refused.value.code == "idempotency_conflict"
    assert (await client.counts()).queued == 1


async def test_repeating_a_key_finds_the_first_job(client: Client) -> None:
    """Q-13: the same key and body give the first job, another body is refused."""
    first = await client.enqueue(type="noop", payload={"n": 1}, idempotency_key="nightly")
    again = await client.enqueue(type="noop", payload={"n": 1}, idempotency_key="nightly")
    assert first.id == again.id
    with pytest.raises(Conflict) as refused:
        await client.enqueue(type="noop", payload={"n": 2}, idempotency_key="nightly")
    assert refused.value.code == "idempotency_conflict"


async def test_many_jobs_are_judged_one_by_one_in_order(client: Client) -> None:
    """Q-13, 70-9: and more than a thousand are cut into requests that are accepted."""
    jobs: list[NewJob | dict[str, Any]] = [
        NewJob(type="noop", payload={"n": number}) for number in range(1002)
    ]
    jobs[3] = {"type": "noop", "payload": {}, "prio": 1}
    jobs[1001] = {"payload": {}}
    results = await client.enqueue_many(jobs)
    assert len(results) == 1002
    wrong = {at: result for at, result in enumerate(results) if isinstance(result, SluicegateError)}
    assert {at: (type(error), paths(error)) for at, error in wrong.items()} == {
        3: (Invalid, ["prio"]),
        1001: (Invalid, ["type"]),
    }
    assert [r.payload["n"] for r in results if isinstance(r, Job)] == [
        number for number in range(1002) if number not in wrong
    ]
    assert (await client.counts()).queued == 1000


async def test_no_jobs_are_no_request(client: Client) -> None:
    assert await client.enqueue_many([]) == []


@pytest.mark.parametrize(
    ("job", "kind", "code", "wrong"),
    [
        ({}, Invalid, "validation_failed", ["type"]),
        ({"type": "No Good"}, Invalid, "validation_failed", ["type"]),
        ({"type": "noop", "priorty": 1, "x": 2}, Invalid, "validation_failed", ["priorty", "x"]),
        ({"type": "noop", "priority": 1001}, Invalid, "validation_failed", ["priority"]),
        ({"type": "noop", "payload": []}, Invalid, "validation_failed", ["payload"]),
        ({"type": "noop", "payload": {"x": object()}}, Invalid, "validation_failed", ["payload"]),
        ({"type": "noop", "id": "7"}, Invalid, "validation_failed", ["id"]),
        ({"type": "noop", "maxAttempts": 0, "delaySeconds": -1}, Invalid, "validation_failed",
         ["delaySeconds", "maxAttempts"]),
        ({"type": "noop", "delaySeconds": 1, "notBefore": "2026-01-31T12:00:00Z"}, Invalid,
         "validation_failed", ["notBefore"]),
        ({"type": "noop", "notBefore": "soon"}, Invalid, "validation_failed", ["notBefore"]),
        ({"type": "noop", "id": UNKNOWN, "idempotencyKey": "k"}, Invalid, "validation_failed",
         ["idempotencyKey"]),
        ({"type": "noop", "payload": {"repository": "nowhere"}}, Invalid, "validation_failed",
         ["payload.repository"]),
        ({"type": "noop", "payload": {"requiredCapabilities": [7]}}, Invalid, "validation_failed",
         ["payload.requiredCapabilities[0]"]),
        ({"type": "noop", "payload": {"liveControl": {}}}, Invalid, "validation_failed",
         ["payload.liveControl"]),
        ({"type": "noop", "payload": {"text": "x" * 300_000}}, TooLarge, "payload_too_large", []),
    ],
)  # fmt: skip
async def test_a_wrong_job_is_refused_alike(
    client: Client, job: dict[str, Any], kind: type[SluicegateError], code: str, wrong: list[str]
) -> None:
    """70-58: the same error class, code and paths whichever way it was sent; and nothing is accepted."""
    with pytest.raises(RequestError) as refused:
        await client.enqueue(job)
    assert (type(refused.value), refused.value.code, paths(refused.value)) == (kind, code, wrong)
    assert (await client.counts()).queued == 0


@pytest.mark.parametrize("job_id", [UNKNOWN, "7", "", "../jobs", "a/b", "%2e%2e", "x" * 5000, UNKNOWN + "\n"])
async def test_an_unknown_job_is_not_found_alike(client: Client, job_id: str) -> None:
    """70-42: a malformed id is one that nobody has."""
    calls = [client.get(job_id), client.cancel(job_id), client.wait(job_id), anext(client.events(job_id))]
    for call in calls:
        with pytest.raises(NotFound) as refused:
            await call
        assert refused.value.code == "job_not_found"


async def test_listing_filters_and_pages(client: Client, store: Store) -> None:
    done = await given.succeeded(store, "report", result="fine")
    for number in range(3):
        await client.enqueue(type="noop", payload={"n": number})
    other = await client.enqueue(type="task.one", payload={"repository": "acme/a"})

    assert [job.id for job in (await client.list(status="succeeded")).items] == [done]
    assert [job.id for job in (await client.list(claimed_by="worker-1")).items] == [done]
    assert [job.id for job in (await client.list(repository="git@github.com:Acme/a.git")).items] == [other.id]
    assert (await client.list(created_before=(await client.get(done)).created_at)).items == []
    found = await client.list(type="noop", status="queued")
    assert [job.payload["n"] for job in found.items] == [2, 1, 0]

    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await client.list(limit=2, cursor=cursor)
        assert len(page.items) <= 2
        seen += [job.id for job in page.items]
        cursor, pages = page.next_cursor, pages + 1
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"status": "done"}, "status"),
        ({"type": "Not A Type"}, "type"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"created_after": "yesterday"}, "createdAfter"),
        ({"repository": "../x"}, "repository"),
        ({"claimed_by": "a\nb"}, "claimedBy"),
    ],
)
async def test_a_wrong_listing_is_refused_alike(client: Client, query: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Invalid) as refused:
        await client.list(**query)
    assert (refused.value.code, paths(refused.value)) == ("validation_failed", [wrong])


async def test_cancelling_a_waiting_job_ends_it(client: Client) -> None:
    """C-1, C-3, C-4: at once, with who and why; and again changes nothing."""
    job = await client.enqueue(type="noop", delay_seconds=60)
    cancelled = await client.cancel(job.id, "not needed")
    assert cancelled.status == "cancelled" and cancelled.finished_at
    assert cancelled.cancel_reason == "not needed"
    assert cancelled.cancel_requested_by_user_id == "local-operator"
    assert await client.cancel(job.id, "another reason") == cancelled


async def test_cancelling_a_running_job_asks_its_worker(client: Client, store: Store) -> None:
    """C-2: the request is noted, the status stays."""
    job = await given.running(store)
    asked = await client.cancel(job.id)
    assert asked.status == "running" and asked.cancel_requested_at and asked.cancel_reason is None


async def test_cancelling_an_ended_job_is_refused(client: Client, store: Store) -> None:
    """C-4."""
    with pytest.raises(Conflict) as refused:
        await client.cancel(await given.succeeded(store))
    assert refused.value.code == "job_state_conflict"


async def test_a_cancel_reason_has_a_limit(client: Client) -> None:
    job = await client.enqueue(type="noop")
    with pytest.raises(Invalid) as refused:
        await client.cancel(job.id, "x" * 3000)
    assert paths(refused.value) == ["reason"]
    assert (await client.get(job.id)).status == "queued"


def paths(error: SluicegateError) -> list[str]:
    return sorted(each["path"] for each in error.extra.get("errors", []))
