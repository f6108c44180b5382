"""Cancelling jobs: the request, and the worker's word that it is done."""

from __future__ import annotations

from typing import Any

from sluicegate.model import ID_PATTERN, Job
from sluicegate.store import endings, jobs, words
from sluicegate.store.connection import Store


async def cancel(store: Store, job_id: str, *, actor: str, reason: str | None = None) -> Job:
    """End a waiting job at once, or ask the worker of a running one; the job as it is then (C-1..C-4).

    Idempotent. Raises NotFound (job_not_found), Conflict (job_state_conflict) on an ended job.
    """
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    word = (await store.run("cancel", [(job_id,)], actor=actor, reason=reason or ""))[0][0]
    if word not in ("CANCELLED", "REQUESTED", "UNCHANGED"):
        raise words.refused(word, job_id)
    return await jobs.get(store, job_id)


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
