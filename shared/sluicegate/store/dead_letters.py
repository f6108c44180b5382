"""Jobs whose attempts are used up: list, redrive, purge (Q-8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from sluicegate import keys
from sluicegate.errors import RequestError
from sluicegate.model import Lane
from sluicegate.store import words
from sluicegate.store.connection import Store
from sluicegate.store.jobs import MAX_SCANNED
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


class DeadLetterFilter(Struct, frozen=True, kw_only=True):
    """What a listing shows. repository in canonical form."""

    type: str | None = None
    repository: str | None = None
    failure_class: str | None = None

    @property
    def looks_inside(self) -> bool:
        return any(value is not None for value in (self.type, self.repository, self.failure_class))

    def admits(self, letter: DeadLetter) -> bool:
        return (
            (self.type is None or letter.type == self.type)
            and (self.repository is None or letter.repository == self.repository)
            and (self.failure_class is None or letter.failure_class == self.failure_class)
        )


EVERY: Final = DeadLetterFilter()


async def listing(
    store: Store, filter: DeadLetterFilter = EVERY, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[DeadLetter], str | None]:
    """Dead letters, newest first, and the cursor of the next page (None at the end).

    A filtered page reads at most 2,000 entries and may be short, with a cursor. Raises Invalid (cursor).
    """
    room = MAX_SCANNED if filter.looks_inside else limit + 1
    raw = await store.command("XREVRANGE", keys.DEAD, before_cursor(cursor), "-", "COUNT", room)
    page: list[DeadLetter] = []
    last: str | None = None
    for entry_id, flat in raw:
        if len(page) == limit:
            return page, last
        last = entry_id
        letter = _letter(entry_id, flat)
        if filter.admits(letter):
            page.append(letter)
    return page, last if len(raw) == room else None


async def redrive(
    store: Store, job_ids: Sequence[str], *, actor: str, reason: str | None = None
) -> list[bool | RequestError]:
    """Give each a new life; per id True, False (it has had that already, and lives), or why not. Audited."""
    replies = await store.run_many(
        "redrive", [(job_id,) for job_id in job_ids], actor=actor, reason=reason or ""
    )
    return [
        word == "OK" if word in ("OK", "UNCHANGED") else words.refused(word, job_id)
        for word, job_id in zip(replies, job_ids, strict=True)
    ]


async def condemn(
    store: Store, job_ids: Sequence[str], *, actor: str | None = None, reason: str | None = None
) -> list[RequestError | None]:
    """Mark dead letters for removal: from then on their files may go, and nobody redrives them.

    Per id None, or why not. Audited with an actor; retention has none.
    """
    replies = await store.run_many(
        "condemn", [(job_id,) for job_id in job_ids], actor=actor or "", reason=reason or ""
    )
    return words.outcomes(replies, job_ids)


async def condemned(store: Store, *, older_than_ms: int, limit: int = 100) -> list[str]:
    """Those whose removal began so long ago that whoever began it has not lived to end it; oldest first."""
    until = await store.now_ms() - older_than_ms
    return list(await store.command("ZRANGEBYSCORE", keys.CONDEMNED, "-inf", until, "LIMIT", 0, limit))


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
