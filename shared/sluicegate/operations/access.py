"""Which jobs a caller may see and act on (Q-3, 70-59), the same on every surface.

A worker with a restricted credential: those of its types and repositories. A producer: its own. Everybody
else who was let in: all. Existence is checked before (404), state and ownership after (409).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from sluicegate.auth.identity import Identity
from sluicegate.errors import Forbidden, SluicegateError
from sluicegate.model import Job, Lane
from sluicegate.store import jobs as job_records
from sluicegate.store.connection import Store
from sluicegate.store.jobs import JobFilter


def may_see(who: Identity, job: Job) -> bool:
    if who.role == "producer":
        return job.created_by_user_id == who.user_id
    if who.role == "worker" and who.grant is not None:
        return who.grant.allows(_lane(job))
    return True


def narrowed(who: Identity, asked: JobFilter) -> JobFilter:
    """A listing's filter within what the caller may see."""
    return structs.replace(asked, created_by=who.user_id) if who.role == "producer" else asked


def require_sight(who: Identity, job: Job) -> Job:
    """The job, if the caller may see it. Raises Forbidden (job_not_authorized)."""
    if not may_see(who, job):
        raise _denied(job.id)
    return job


async def require_sight_of(store: Store, who: Identity, job_id: str) -> None:
    """As `require_sight`, for a job that nobody has read yet. Raises NotFound too."""
    if who.role in ("producer", "worker"):
        require_sight(who, await job_records.get(store, job_id))


async def refusals(store: Store, who: Identity, job_ids: Sequence[str]) -> dict[str, SluicegateError]:
    """The jobs that a worker's credential keeps it from acting on, each with its error.

    A job that does not exist is not among them: the call itself says so. A job's type and repository never
    change, so that what is true here is true when the call is made.
    """
    grant = who.grant
    if grant is None or not grant.restricts_jobs:
        return {}
    lanes = await job_records.lanes(store, job_ids)
    return {
        job_id: _denied(job_id)
        for job_id, lane in zip(job_ids, lanes, strict=True)
        if lane is not None and not grant.allows(lane)
    }


async def require_job(store: Store, who: Identity, job_id: str) -> None:
    """Raises Forbidden (job_not_authorized) for a job outside the worker's policy."""
    for error in (await refusals(store, who, [job_id])).values():
        raise error


def _lane(job: Job) -> Lane:
    return Lane(type=job.type, repository=job.repository)


def _denied(job_id: str) -> Forbidden:
    return Forbidden(f"job {job_id} is not for this caller", code="job_not_authorized")
