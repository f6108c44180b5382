"""Cancelling jobs: the request, and the worker's word that it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sluicegate.errors import RequestError
from sluicegate.model import ID_PATTERN, Job
from sluicegate.store import endings, jobs, words
from sluicegate.store.connection import Store

DONE: Final = frozenset({"CANCELLED", "REQUESTED", "UNCHANGED"})


async def cancel(store: Store, job_id: str, *, actor: str, reason: str | None = None) -> Job:
    """End a waiting job at once, or ask the worker of a running one; the job as it is then (C-1..C-4).

    Idempotent. Raises NotFound (job_not_found), Conflict (job_state_conflict) on an ended job.
    """
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    (outcome,) = await cancel_many(store, [job_id], actor=actor, reason=reason)
    if isinstance(outcome, RequestError):
        raise outcome
    return await jobs.get(store, job_id)


async def cancel_many(
    store: Store, job_ids: Sequence[str], *, actor: str, reason: str | None = None
) -> list[bool | RequestError]:
    """As `cancel`; per id True, False (it was asked before, or is cancelled already), or why not."""
    replies = await store.run_many(
        "cancel", [(job_id,) for job_id in job_ids], actor=actor, reason=reason or ""
    )
    return [
        word != "UNCHANGED" if word in DONE else words.refused(word, job_id)
        for word, job_id in zip(replies, job_ids, strict=True)
    ]


async def acknowledge(
    store: Store,
    job_id: str,
    *,
    worker_id: str,
    lease_token: int,
    message: str | None = None,
    receipt: dict[str, Any] | None = None,
) -> Job:
    """The holder's word that the job has ended as asked (C-5). Raises Conflict, LeaseLost, NotFound."""
    return await endings.finish_one(
        store, worker_id, endings.Cancelled(job_id, lease_token, message=message, receipt=receipt)
    )
