"""Why a job does not run, asked on any surface (Q-19)."""

from __future__ import annotations

from sluicegate.auth.identity import Identity
from sluicegate.model import Job
from sluicegate.operations import access, reasons
from sluicegate.operations.reasons import Why
from sluicegate.store import Store, jobs, standing


async def why(store: Store, who: Identity, job_id: str) -> Why:
    """Raises NotFound (job_not_found), Forbidden (job_not_authorized)."""
    return await of(store, access.require_sight(who, await jobs.get(store, job_id)))


async def of(store: Store, job: Job) -> Why:
    found = reasons.of(job, await standing.read(store, job)) if job.status == "queued" else []
    return Why(job_id=job.id, status=job.status, reasons=found)
