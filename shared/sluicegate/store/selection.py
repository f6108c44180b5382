"""Choosing many jobs by what they have in common, in pages: no step is long, however many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from sluicegate import keys
from sluicegate.model import Lane
from sluicegate.store.connection import MAX_ITEMS, Store

PAGE: Final = 500
UNCLASSIFIED: Final = "unclassified"


class Traits(NamedTuple):
    """What a job can be chosen by. Read without its payload, which may be large."""

    job_id: str
    status: str
    lane: Lane
    failure_class: str
    created_ms: int


class Selection(Struct, frozen=True, kw_only=True):
    """Jobs that fit every field that is set. repository in canonical form; times in ms, exclusive."""

    status: str | None = None
    type: str | None = None
    repository: str | None = None
    failure_class: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None

    def admits(self, job: Traits) -> bool:
        return (
            (self.status is None or job.status == self.status)
            and (self.type is None or job.lane.type == self.type)
            and (self.repository is None or job.lane.repository == self.repository)
            and (self.failure_class is None or job.failure_class == self.failure_class)
            and (self.created_after_ms is None or job.created_ms > self.created_after_ms)
            and (self.created_before_ms is None or job.created_ms < self.created_before_ms)
        )


async def traits(store: Store, job_ids: Sequence[str]) -> list[Traits]:
    """Of those that exist, in the order of their ids. job_ids: at most 100."""
    if not job_ids:
        return []
    found = await store.commands(
        *(("HMGET", keys.job(each), "status", "lane", "failure_class", "created_at") for each in job_ids)
    )
    return [
        Traits(job_id, status, Lane.parse(lane), failure_class or UNCLASSIFIED, int(created))
        for job_id, (status, lane, failure_class, created) in zip(job_ids, found, strict=True)
        if status is not None
    ]


async def existing(store: Store, job_ids: Sequence[str]) -> set[str]:
    """Those of these ids that name a job."""
    if not job_ids:
        return set()
    found = await store.commands(*(("EXISTS", keys.job(job_id)) for job_id in job_ids))
    return {job_id for job_id, there in zip(job_ids, found, strict=True) if there}


async def entered(store: Store, status: str, *, after_ms: int, until_ms: int) -> AsyncIterator[list[str]]:
    """Up to 100 jobs at a time that entered a status in this span and are in it, longest ago first.

    Those that leave it meanwhile, by the caller's own doing too, neither shift nor hide the others.
    """
    last: tuple[float, str] = (after_ms, "\uffff")
    while page := await _behind(store, keys.status(status), last, until_ms):
        for start in range(0, len(page), MAX_ITEMS):
            yield [job_id for _, job_id in page[start : start + MAX_ITEMS]]
        last = page[-1]


async def _behind(store: Store, key: str, last: tuple[float, str], until_ms: int) -> list[tuple[float, str]]:
    """The next entries (ms, id) behind `last`; within its own millisecond the ids decide."""
    found: list[tuple[float, str]] = []
    offset = 0
    while not found:
        flat = await store.command(
            "ZRANGEBYSCORE", key, int(last[0]), until_ms, "WITHSCORES", "LIMIT", offset, PAGE
        )
        entries = [(float(flat[at + 1]), flat[at]) for at in range(0, len(flat), 2)]
        found = [entry for entry in entries if entry > last]
        if len(entries) < PAGE:
            return found
        offset += PAGE
    return found
