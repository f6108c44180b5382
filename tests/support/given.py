"""Jobs as a client or a page sees them, in the state that a test starts from; see job_builder.py."""

from __future__ import annotations

from typing import Any

import uuid_utils
from msgspec import structs

from sluicegate.model import Job, NewEvent, Policy
from sluicegate.store import claims, endings, events, jobs
from sluicegate.store.connection import Store
from tests.support.job_builder import JobBuilder, Made

ANY = Policy(types=None, repositories=None, capabilities=())


async def queued(store: Store, kind: str = "noop", **described: Any) -> str:
    """The id of a job that waits; with `delay_ms`, one that is not claimable yet."""
    make = JobBuilder(store)
    (job_id,) = await make.enqueued(make.submission(kind, **described))
    return job_id


async def claimed(store: Store, *, worker_id: str = "worker-1", lease_ms: int = 60_000) -> Job | None:
    """What a worker of any type gets now: a job, or None."""
    answer = await claims.claim(
        store, ANY, worker_id=worker_id, lease_ms=lease_ms, limit=1, request_id=str(uuid_utils.uuid7())
    )
    return answer.jobs[0] if answer.jobs else None


async def running(
    store: Store, kind: str = "noop", *, worker_id: str = "worker-1", lease_ms: int = 60_000, **described: Any
) -> Job:
    """A job under a live lease. Nothing else may be claimable."""
    job_id = await queued(store, kind, **described)
    job = await claimed(store, worker_id=worker_id, lease_ms=lease_ms)
    assert job is not None and job.id == job_id, "another job was claimable"
    return job


async def stale(store: Store, kind: str = "noop", *, worker_id: str = "worker-1", **described: Any) -> Job:
    """A job whose lease has expired, while nobody sweeps."""
    job = await running(store, kind, worker_id=worker_id, **described)
    await JobBuilder(store).lease_over(Made(job.id, token(job), worker_id))
    return structs.replace(await jobs.get(store, job.id), lease_token=job.lease_token)


async def succeeded(store: Store, kind: str = "noop", *, result: str | None = None, **described: Any) -> str:
    job = await running(store, kind, **described)
    await complete(store, job, result=result)
    return job.id


async def complete(store: Store, job: Job, *, result: str | None = None) -> None:
    await end(store, job, endings.Complete(job.id, token(job), result))


async def end(store: Store, job: Job, ending: endings.Ending) -> None:
    assert job.claimed_by is not None
    (outcome,) = await endings.finish(store, job.claimed_by, [ending])
    assert isinstance(outcome, Job), outcome


async def says(store: Store, job: Job, text: str, *, stream: str = "stdout") -> None:
    """The job's worker reports a piece of output."""
    assert job.claimed_by is not None
    payload = {"kind": "log", "stream": stream, "stage": "execute", "text": text, "seq": 1}
    event = NewEvent(message=text[:200] or "output", payload=payload)
    assert await events.append(store, job.claimed_by, job.id, token(job), [event])


def token(job: Job) -> int:
    assert job.lease_token is not None
    return int(job.lease_token)
