"""One job's result among many."""

from __future__ import annotations

from typing import Any

from sluicegate.errors import SluicegateError
from sluicegate.model import Job


def item(job_id: str, outcome: Job | SluicegateError) -> dict[str, Any]:
    """`{id, status, job}`, or `{id, status, error}` with the problem that a single call would have got."""
    if isinstance(outcome, SluicegateError):
        return {"id": job_id, "status": outcome.status, "error": outcome.problem()}
    return {"id": job_id, "status": 200, "job": outcome}
