"""A script's words as errors: the closed list of refusals, in one place."""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate.errors import Conflict, LeaseLost, NotFound, RequestError


def outcomes(replies: Sequence[str], job_ids: Sequence[str]) -> list[RequestError | None]:
    """Per job None for OK, else the error."""
    return [
        None if word == "OK" else refused(word, job_id) for word, job_id in zip(replies, job_ids, strict=True)
    ]


def refused(word: str, job_id: str) -> RequestError:
    """The error that a refusal stands for; ValueError for a word that is not one."""
    word, _, rest = word.partition(" ")
    match word:
        case "JOB_NOT_FOUND":
            return NotFound(f"there is no job {job_id}", code="job_not_found")
        case "LEASE_LOST":
            return LeaseLost(f"this attempt no longer holds job {job_id}")
        case "OWNERSHIP_MISMATCH":
            return Conflict(f"another worker holds job {job_id}", code="job_ownership_mismatch")
        case "CONDEMNED":
            return Conflict(f"job {job_id} is being purged", code="job_state_conflict")
        case "LIVE_NOT_FOUND":
            return NotFound(f"job {job_id} never had a live session", code="live_session_not_found")
        case "LIVE_CONFLICT":
            return Conflict(
                f"the live session of job {job_id} is {rest}",
                code="live_session_state_conflict",
                sessionStatus=rest,
            )
        case "CANCELLING":
            return Conflict(
                f"job {job_id} is being cancelled", code="job_state_conflict", jobStatus="running"
            )
        case "STATE_CONFLICT":
            return Conflict(f"job {job_id} is {rest}", code="job_state_conflict", jobStatus=rest)
    raise ValueError(f"not a refusal: {word}")
