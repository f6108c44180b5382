"""The lease under which a worker acts: the token of its claim, or, for older clients, none (00-5, 70-42).

With SLUICEGATE_ALLOW_TOKENLESS a call may leave its lease tokens out. An empty one stands in their place, and
the worker is believed while it has claimed the job exactly once.
"""

from __future__ import annotations

from typing import Any, Final

from sluicegate.errors import LeaseLost
from sluicegate.store import claims
from sluicegate.store.connection import Store

NO_TOKEN: Final = ""


def with_empty_tokens(document: Any) -> Any:
    """A decoded call with NO_TOKEN wherever a lease token was left out; what is no call stays as it is."""
    if not isinstance(document, dict):
        return document
    jobs = document.get("jobs")
    if isinstance(jobs, list):
        return {**document, "jobs": [with_empty_tokens(each) for each in jobs]}
    return {"leaseToken": NO_TOKEN, **document}


async def number(store: Store, worker_id: str, job_id: str, token: str) -> int:
    """The store's number behind a lease token; 0, which no lease has, for a text that cannot be one.

    Raises LeaseLost when there is no token and the worker has claimed the job more than once: its earlier
    attempt may still be talking.
    """
    if token != NO_TOKEN or not store.settings.allow_tokenless:
        return int(token) if token.isascii() and token.isdigit() and len(token) <= 15 else 0
    found = await claims.claims_by(store, worker_id, job_id)
    if found.times > 1:
        raise LeaseLost(
            f"worker {worker_id} has claimed job {job_id} {found.times} times: a leaseToken must say which"
        )
    return found.token
