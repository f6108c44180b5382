"""Jobs whose attempts are used up: list, redrive, purge (Q-8)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from sluicegate import keys
from sluicegate.errors import RequestError
from sluicegate.model import Lane
from sluicegate.store import words
from sluicegate.store.connection import Store
from sluicegate.store.positions import before_cursor, position
from sluicegate.times import to_rfc3339


class DeadLetter(Struct, rename="camel", kw_only=True):
    id: str
    job_id: str
    type: str
    repository: str | None
    lane: str
    last_error: str
    failure_class: str
    attempts: int
    dead_at: str


async def listing(
    store: Store, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[DeadLetter], str | None]:
    """Dead letters, newest first, and the cursor of the next page. Raises Invalid (cursor)."""
    high = before_cursor(cursor)
    raw = await store.command("XREVRANGE", keys.DEAD, high, "-", "COUNT", limit + 1)
    letters = [_letter(entry_id, flat) for entry_id, flat in raw[:limit]]
    return letters, letters[-1].id if len(raw) > limit else None


async def redrive(
    store: Store, job_ids: Sequence[str], *, actor: str, reason: str | None = None
) -> list[RequestError | None]:
    """Give each a new life; per id None, or why not. Audited."""
    replies = await store.run_many(
        "redrive", [(job_id,) for job_id in job_ids], actor=actor, reason=reason or ""
    )
    return words.outcomes(replies, job_ids)


def _letter(entry_id: str, flat: list[str]) -> DeadLetter:
    stored = dict(zip(flat[::2], flat[1::2], strict=True))
    lane = Lane.parse(stored["lane"])
    return DeadLetter(
        id=entry_id,
        job_id=stored["job"],
        type=lane.type,
        repository=lane.repository,
        lane=stored["lane"],
        last_error=stored["error"],
        failure_class=stored["class"],
        attempts=int(stored["attempts"]),
        dead_at=to_rfc3339(position(entry_id)[0]),
    )
