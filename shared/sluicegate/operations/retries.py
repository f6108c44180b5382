"""Running again what has ended without success (70-11): a new job, or a dead letter's new life.

A failed or cancelled job stays as it is; a new job with the same body and `retryOf` runs in its place. Its id
is made from the first one's, so that a job has one retry and no more: whoever repeats the call gets that one,
and a retry that failed too is itself what is retried next. A filter over a whole night's failures therefore
starts one job for each, however often it is applied.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from sluicegate import tracing
from sluicegate.errors import Conflict, RequestError
from sluicegate.model import Job, NewJob
from sluicegate.operations import jobs
from sluicegate.operations.calls import Call, Reason
from sluicegate.settings import Settings
from sluicegate.store import Store, dead_letters, words
from sluicegate.store import jobs as job_records
from sluicegate.store.jobs import Enqueued, Record, Submission
from sluicegate.times import to_rfc3339

RETRYABLE: Final = ("failed", "cancelled", "dead_letter")


class RetryCall(Call):
    reason: Reason | None = None


class Retried(NamedTuple):
    """job_id: what runs again: a new job, or the dead letter itself. changed: by this call, not before."""

    job_id: str
    changed: bool


class Retry(NamedTuple):
    job: Job
    created: bool
    changed: bool


async def retry(store: Store, job_id: str, *, actor: str, reason: str | None = None) -> Retry:
    """Run one job again. Repeating it gives the same job.

    Raises NotFound, Conflict (job_state_conflict: it succeeded, or it has not ended), Busy (queue_full),
    and Invalid where the deployment's rules do not admit its body any more.
    """
    (outcome,) = await retry_many(store, [job_id], actor=actor, reason=reason)
    if isinstance(outcome, RequestError):
        raise outcome
    job = await job_records.get(store, outcome.job_id)
    return Retry(job, created=outcome.changed and job.id != job_id, changed=outcome.changed)


async def retry_many(
    store: Store, job_ids: Sequence[str], *, actor: str, reason: str | None = None
) -> list[Retried | RequestError]:
    """Run each again, or say why not. reason: for the audit of those that are dead letters."""
    outcomes: dict[str, Retried | RequestError] = {}
    again: dict[str, Submission] = {}
    dead: list[str] = []
    for job_id, record in zip(job_ids, await job_records.records(store, job_ids), strict=True):
        if record is None:
            outcomes[job_id] = words.refused("JOB_NOT_FOUND", job_id)
        elif record.status in ("failed", "cancelled"):
            try:
                again[job_id] = _same_again(job_id, record, actor=actor, settings=store.settings)
            except RequestError as error:
                outcomes[job_id] = error
        else:
            dead.append(job_id)  # or it is none, or was redriven already: the script judges
    if again:
        accepted = await job_records.enqueue(store, again.values())
        for job_id, outcome in zip(again, accepted, strict=True):
            outcomes[job_id] = await _accepted(store, job_id, outcome)
    if dead:
        lives = await dead_letters.redrive(store, dead, actor=actor, reason=reason)
        for job_id, life in zip(dead, lives, strict=True):
            outcomes[job_id] = life if isinstance(life, RequestError) else Retried(job_id, life)
    return [outcomes[job_id] for job_id in job_ids]


def retry_id(job_id: str) -> str:
    """The id of the retry of this job: a UUIDv7 with the same clock and drawn from the same id."""
    source = uuid.UUID(job_id).bytes
    drawn = bytearray(source[:6] + hashlib.sha256(b"retry of " + source).digest()[:10])
    drawn[6] = 0x70 | drawn[6] & 0x0F
    drawn[8] = 0x80 | drawn[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(drawn)))


async def _accepted(store: Store, job_id: str, outcome: Enqueued | RequestError) -> Retried | RequestError:
    if isinstance(outcome, Enqueued):
        return Retried(outcome.job_id, not outcome.replayed)
    if isinstance(outcome, Conflict):
        # Retried before, by somebody else or under other rules: it is the retry all the same.
        (there,) = await job_records.read(store, [retry_id(job_id)])
        if there is not None and there.retry_of == job_id:
            return Retried(there.id, False)
    return outcome


def _same_again(job_id: str, record: Record, *, actor: str, settings: Settings) -> Submission:
    """The job's body under the id of its retry."""
    body = record.spec
    new = NewJob(
        type=body.type,
        payload=body.payload,
        id=retry_id(job_id),
        priority=body.priority,
        required_capabilities=body.required_capabilities,
        affinity_key=body.affinity_key,
        max_attempts=body.max_attempts,
        max_run_seconds=body.max_run_seconds,
        not_before=_due_at(record),
    )
    return jobs.prepare(new, actor=actor, settings=settings, retry_of=job_id, trace=tracing.current())


def _due_at(record: Record) -> str | None:
    """When the first one was due: mostly long ago, but one cancelled in time still waits for its day."""
    delay = record.spec.delay_seconds
    if delay is None:
        return record.spec.not_before
    return to_rfc3339(record.created_ms + round(delay * 1000))
