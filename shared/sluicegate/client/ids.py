"""Ids on their way into an address."""

from __future__ import annotations

from sluicegate.errors import NotFound
from sluicegate.model import ID_PATTERN


def checked(job_id: str) -> str:
    """The id of a job. Anything else is refused before it can change the address that it goes into."""
    if not ID_PATTERN.match(job_id):
        raise NotFound(f"there is no job {job_id!r}", code="job_not_found")
    return job_id
