"""Every code that a problem document may carry (spec 00-5): its status, and what it means to a caller.

A test compares the list with what the code raises, so that no refusal goes out that the API's description
does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from sluicegate.http.endpoints import Endpoint


class Known(NamedTuple):
    status: int
    meaning: str


CODES: Final[dict[str, Known]] = {
    "bad_request": Known(400, "The request is not JSON, or a pause call is malformed."),
    "worker_auth_failed": Known(401, "No valid worker's credential came with the request."),
    "operator_auth_failed": Known(401, "No valid operator's credential came with the request."),
    "worker_not_authorized": Known(403, "The credential belongs to another worker than workerId."),
    "job_not_authorized": Known(403, "The credential does not cover this job."),
    "operator_not_authorized": Known(403, "The credential's role does not suffice."),
    "csrf_failed": Known(403, "The request comes from another site, or lacks its session's token."),
    "not_found": Known(404, "There is nothing at this address."),
    "job_not_found": Known(404, "There is no such job."),
    "artifact_not_found": Known(404, "The job has no such artifact."),
    "worker_token_not_found": Known(404, "There is no such token."),
    "live_session_not_found": Known(404, "The task run has no live session."),
    "tool_not_found": Known(404, "There is no tool of this name."),
    "method_not_allowed": Known(405, "The address does not take this method."),
    "job_state_conflict": Known(409, "The job's state does not allow it."),
    "job_ownership_mismatch": Known(409, "Another worker holds the job."),
    "lease_lost": Known(409, "The attempt is no longer the caller's: stop, and write nothing more."),
    "not_drained": Known(409, "Jobs are still running; `metrics` counts them."),
    "version_conflict": Known(409, "Somebody changed it since the version that was expected."),
    "pause_unchanged": Known(409, "It is so already."),
    "too_many_pauses": Known(409, "As many pauses are in force as can be: lift one first."),
    "token_state_conflict": Known(409, "A token that was revoked or has expired cannot be rotated."),
    "live_session_state_conflict": Known(409, "The live session's state does not allow it."),
    "idempotency_conflict": Known(409, "The key or the id was used for another job."),
    "payload_too_large": Known(413, "The request, or a part of it, is larger than is taken."),
    "artifact_too_large": Known(413, "The file is larger than is taken."),
    "unsupported_media_type": Known(415, "The body is of another type than is taken."),
    "range_not_satisfiable": Known(416, "The part that was asked for lies behind the end."),
    "validation_failed": Known(422, "Fields are wrong; `errors` names each."),
    "invalid_tool_arguments": Known(422, "The tool's arguments are wrong; `errors` names each."),
    "rate_limited": Known(429, "Too many at once: come back after `Retry-After`."),
    "queue_full": Known(429, "The queue takes no more for now: come back after `Retry-After`."),
    "internal_error": Known(500, "Something went wrong here; the service's log says what."),
    "store_unavailable": Known(503, "The store cannot be reached; nothing was written."),
    "store_uninitialised": Known(503, "The store is not a queue, or no longer: nothing was written."),
    "store_version": Known(503, "The store was written by a version that this one cannot work with."),
    "outcome_unknown": Known(503, "Sent, and not answered: repeat with the same id, key or lease token."),
    "identity_unavailable": Known(503, "The identity provider cannot be reached."),
    "service_unavailable": Known(503, "The service behind this address is being restarted."),
    "storage_full": Known(507, "There is no room for the artifact; nothing of it was kept."),
}

_AT_ANY_TIME: Final = (
    "internal_error",
    "store_unavailable",
    "store_uninitialised",
    "store_version",
    "outcome_unknown",
    "service_unavailable",
)


def codes(endpoint: Endpoint) -> list[str]:
    """What a call may be refused with: by the edge, while it is read, and by the endpoint's own work."""
    found: list[str] = []
    if endpoint.body or endpoint.upload:
        found += ["bad_request", "payload_too_large", "unsupported_media_type"]
    if endpoint.body or endpoint.upload or endpoint.query:
        found.append("validation_failed")
    if endpoint.may != "open":
        found += [*_of_identity(endpoint), "identity_unavailable"]
        found += [] if endpoint.unlimited else ["rate_limited"]
    if endpoint.method != "GET":
        found.append("csrf_failed")
    if "{" in endpoint.path:
        found.append("not_found")
    found += [*endpoint.errors, *_AT_ANY_TIME]
    return sorted(set(found), key=list(CODES).index)


def _of_identity(endpoint: Endpoint) -> Sequence[str]:
    if endpoint.may == "worker":
        return ("worker_auth_failed", "worker_not_authorized")
    return ("operator_auth_failed", "operator_not_authorized")


def example(code: str) -> dict[str, Any]:
    """The problem document that goes out with the code."""
    known = CODES[code]
    shown: dict[str, Any] = {
        "type": f"https://sluicegate.dev/problems/{code}",
        "title": HTTPStatus(known.status).phrase,
        "status": known.status,
        "detail": known.meaning,
        "code": code,
    }
    if known.status == 422:
        shown["errors"] = [{"path": "leaseSeconds", "message": "Expected `float` >= 1.0"}]
    return shown
