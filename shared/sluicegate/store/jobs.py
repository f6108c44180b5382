"""Jobs: accepting, reading, listing, counting."""

from __future__ import annotations

import base64
import binascii
import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from sluicegate import keys
from sluicegate.errors import Busy, Conflict, Invalid, NotFound, RequestError
from sluicegate.model import ID_PATTERN, STATUSES, Counts, Job, JobSpec, Lane, encoded
from sluicegate.settings import Settings
from sluicegate.store import figures, rendering
from sluicegate.store.connection import MAX_BYTES, MAX_ITEMS, Store
from sluicegate.times import from_rfc3339
from sluicegate.tracing import TraceContext

MAX_SCANNED: Final = 2000
"""Entries that a filtered page reads at most; it may be short, with a cursor."""
LOOKED_AT_ONCE: Final = 500
"""Of those: so many are looked at before the ones that fit are read."""
PARTS_TOGETHER: Final = 10
"""Calls that enqueue a batch of a thousand. Then it is looked again whether memory is short."""


class Submission(Struct, frozen=True, kw_only=True):
    """A checked job on its way into the store. spec: JSON of model.JobSpec. Times in ms.

    trace: what its attempts are parts of. No part of the job: the same job from another trace is a repeat.
    """

    id: str
    spec: bytes
    lane: Lane
    max_attempts: int
    max_run_ms: int | None = None
    delay_ms: int | None = None
    due_ms: int | None = None
    unique: str | None = None
    fingerprint: str = ""
    trace: TraceContext | None = None


class Enqueued(NamedTuple):
    """job: the new job; None when the id or the key was used before (replayed)."""

    job_id: str
    replayed: bool
    job: Job | None = None


class Record(NamedTuple):
    """A job as it was asked for, and what became of it."""

    status: str
    created_ms: int
    spec: JobSpec


class _Call(NamedTuple):
    """What is the same for all jobs of a call. no_memory: why none that is new was accepted."""

    now_ms: int
    no_memory: Busy | None
    settings: Settings


class JobFilter(Struct, frozen=True, kw_only=True):
    """What a listing shows. repository in canonical form; times in ms."""

    status: str | None = None
    type: str | None = None
    repository: str | None = None
    claimed_by: str | None = None
    created_by: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None

    @property
    def reads_jobs(self) -> bool:
        rest = (self.type, self.repository, self.claimed_by, self.created_by)
        times = (self.created_after_ms, self.created_before_ms)
        return any(value is not None for value in (*rest, *times))

    def admits(self, job: Job) -> bool:
        after, before = self.created_after_ms, self.created_before_ms
        return (
            (self.status is None or job.status == self.status)
            and (self.type is None or job.type == self.type)
            and (self.repository is None or job.repository == self.repository)
            and (self.claimed_by is None or job.claimed_by == self.claimed_by)
            and (self.created_by is None or job.created_by_user_id == self.created_by)
            and (after is None or from_rfc3339(job.created_at) > after)
            and (before is None or from_rfc3339(job.created_at) < before)
        )


async def enqueue(store: Store, submissions: Iterable[Submission]) -> list[Enqueued | RequestError]:
    """Accept jobs; each that comes back as Enqueued is never lost (within the durability level).

    In order, not atomic over the list. Errors: Busy (queue_full), Conflict (idempotency_conflict).
    """
    outcomes: list[Enqueued | RequestError] = []
    parts = _parts(submissions)
    for part in parts:
        outcomes += await _enqueued_with(store, part, parts)
    return outcomes


async def read(store: Store, job_ids: Sequence[str]) -> list[Job | None]:
    """The jobs of these ids, in order; None where there is none."""
    found = await store.run_many("read_jobs", [(job_id,) for job_id in job_ids])
    return [
        rendering.job(job_id, rendering.fields(entry[0]), entry[1]) if entry else None
        for job_id, entry in zip(job_ids, found, strict=True)
    ]


async def get(store: Store, job_id: str) -> Job:
    """One job. Raises NotFound (job_not_found), also for a malformed id."""
    found = (await read(store, [job_id]))[0] if ID_PATTERN.match(job_id) else None
    if found is None:
        raise NotFound(f"there is no job {job_id}", code="job_not_found")
    return found


async def lanes(store: Store, job_ids: Sequence[str]) -> list[Lane | None]:
    """The lane that each job belongs to; None where there is no such job."""
    known = [job_id for job_id in job_ids if ID_PATTERN.match(job_id)]
    found = await store.commands(*[("HGET", keys.job(job_id), "lane") for job_id in known]) if known else []
    texts = dict(zip(known, found, strict=True))
    return [Lane.parse(text) if (text := texts.get(job_id)) else None for job_id in job_ids]


async def records(store: Store, job_ids: Sequence[str]) -> list[Record | None]:
    """The jobs of these ids as they were asked for, in order; None where there is none. At most 100."""
    known = [job_id for job_id in job_ids if ID_PATTERN.match(job_id)]
    reads = [("HMGET", keys.job(job_id), "status", "created_at", "spec") for job_id in known]
    found = dict(zip(known, await store.commands(*reads) if reads else [], strict=True))
    return [
        Record(stored[0], int(stored[1]), rendering.spec({"spec": stored[2]}))
        if (stored := found.get(job_id)) and stored[0] is not None
        else None
        for job_id in job_ids
    ]


async def listing(
    store: Store, filter: JobFilter, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[Job], str | None]:
    """A page of jobs, latest change of status first, and the cursor of the next page (None at the end).

    A filtered page reads at most 2,000 entries and may be short, with a cursor. Raises Invalid (cursor).
    """
    before = _decode_cursor(cursor) if cursor else None
    statuses = [filter.status] if filter.status else list(STATUSES)
    room = MAX_SCANNED if filter.reads_jobs else limit + 1
    entries = await _newest(store, statuses, before, room)
    page: list[Job] = []
    for start in range(0, len(entries), LOOKED_AT_ONCE):
        fitting = await _fitting(store, filter, entries[start : start + LOOKED_AT_ONCE])
        while fitting:
            wanted = fitting[: limit - len(page)]
            fitting = fitting[len(wanted) :]
            found = await read(store, [job_id for _, job_id in wanted])
            page += [job for job in found if job is not None and filter.admits(job)]
            if len(page) == limit:
                at_end = wanted[-1] == entries[-1] and len(entries) < room
                return page, None if at_end else _encode_cursor(wanted[-1])
    return page, _encode_cursor(entries[-1]) if len(entries) == room else None


async def _fitting(store: Store, filter: JobFilter, entries: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those whose jobs fit, by what can be told without reading the jobs whole; `created_by` cannot."""
    if not filter.reads_jobs:
        return entries
    fitting = await store.run_many(
        "fit_jobs",
        [(job_id,) for _, job_id in entries],
        status=filter.status or "",
        kind=encoded(filter.type or ""),
        repository=encoded(filter.repository or ""),
        owner=filter.claimed_by or "",
        after_ms=-1 if filter.created_after_ms is None else filter.created_after_ms,
        before_ms=-1 if filter.created_before_ms is None else filter.created_before_ms,
    )
    admitted = set(fitting)
    return [entry for entry in entries if entry[1] in admitted]


async def counts(store: Store) -> Counts:
    """Exact numbers of one moment; nothing changes by reading them (P-10)."""
    return (await figures.read(store)).counts


def _parts(submissions: Iterable[Submission]) -> Iterator[list[Submission]]:
    """As many as one call takes; what comes in is drawn only when needed."""
    part: list[Submission] = []
    size = 0
    for submission in submissions:
        if part and (len(part) == MAX_ITEMS or size + len(submission.spec) > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(submission)
        size += len(submission.spec)
    if part:
        yield part


async def _enqueued_with(
    store: Store, part: list[Submission], others: Iterator[list[Submission]]
) -> list[Enqueued | RequestError]:
    """This part and those of the others that go with it.

    What is known already is answered also while memory is short: only what is new is refused.
    """
    settings = store.settings
    no_memory = await store.memory.refusal()
    limits: dict[str, Any] = {
        "max_queued": 0 if no_memory else settings.max_queued,
        "max_lanes": settings.max_lanes,
        "idempotency_ms": int(settings.idempotency_seconds * 1000),
    }
    outcomes: list[Enqueued | RequestError] = []
    sent: deque[list[Submission]] = deque()

    def items(part: list[Submission]) -> list[tuple[object, ...]]:
        sent.append(part)
        return [_item(submission) for submission in part]

    def heard(reply: list[Any]) -> None:
        words, now = reply
        answered = _Call(int(now), no_memory, settings)
        outcomes.extend(
            _enqueued(word, submission, answered)
            for word, submission in zip(words, sent.popleft(), strict=True)
        )

    second = next(others, None)
    if second is None:
        heard(await store.run("enqueue", items(part), **limits))
    else:
        together = itertools.chain((part, second), itertools.islice(others, PARTS_TOGETHER - 2))
        await store.run_pipelined("enqueue", map(items, together), heard, **limits)
    return outcomes


def _item(submission: Submission) -> tuple[object, ...]:
    return (
        submission.id,
        submission.lane.text,
        submission.spec,
        -1 if submission.delay_ms is None else submission.delay_ms,
        -1 if submission.due_ms is None else submission.due_ms,
        submission.max_attempts,
        submission.max_run_ms or 0,
        submission.unique or "",
        submission.fingerprint,
        submission.trace.text if submission.trace else "",
    )


def _enqueued(word: str, submission: Submission, call: _Call) -> Enqueued | RequestError:
    if word == "CREATED":
        return Enqueued(submission.id, False, _new(submission, call.now_ms))
    settings = call.settings
    word, _, job_id = word.partition(" ")
    match word:
        case "EXISTS":
            return Enqueued(job_id, True)
        case "CONFLICT":
            what = "idempotency key" if submission.unique else "id"
            return Conflict(
                f"this {what} names another job, {job_id}", code="idempotency_conflict", jobId=job_id
            )
        case "QUEUE_FULL":
            return call.no_memory or _full(
                f"{settings.max_queued:,} jobs wait or are delayed", "SLUICEGATE_MAX_QUEUED"
            )
        case "LANES_FULL":
            return _full(f"{settings.max_lanes:,} lanes have entries", "SLUICEGATE_MAX_LANES")
    raise ValueError(f"not a reply of enqueue: {word}")


def _full(what: str, setting: str) -> Busy:
    return Busy(f"{what}, and no more may ({setting})", code="queue_full")


def _new(submission: Submission, now: int) -> Job:
    """The job as the script has just stored it: reading it back would cost another round trip."""
    due = submission.due_ms if submission.delay_ms is None else now + submission.delay_ms
    return rendering.new_job(submission.id, submission.spec, now, due, submission.trace)


async def _newest(
    store: Store, statuses: Sequence[str], before: tuple[int, str] | None, limit: int
) -> list[tuple[int, str]]:
    """Entries (ms, id) of several status sets, newest first, strictly behind `before`."""
    streams = [await _behind(store, keys.status(status), before, limit) for status in statuses]
    return list(itertools.islice(heapq.merge(*streams, reverse=True), limit))


async def _behind(
    store: Store, key: str, before: tuple[int, str] | None, limit: int
) -> list[tuple[int, str]]:
    """Up to `limit` entries of one set behind `before`; in its own millisecond the ids decide."""
    top = "+inf" if before is None else str(before[0])
    found: list[tuple[int, str]] = []
    offset = 0
    while len(found) < limit:
        flat = await store.command("ZREVRANGEBYSCORE", key, top, "-inf", "WITHSCORES", "LIMIT", offset, limit)
        entries = [(int(float(flat[at + 1])), flat[at]) for at in range(0, len(flat), 2)]
        found += [entry for entry in entries if before is None or entry < before]
        if len(entries) < limit:
            break
        offset += limit
    return found


def _encode_cursor(entry: tuple[int, str] | None) -> str | None:
    return base64.urlsafe_b64encode(f"{entry[0]} {entry[1]}".encode()).decode() if entry else None


def _decode_cursor(cursor: str) -> tuple[int, str]:
    try:
        ms, job_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return int(ms), job_id
    except (ValueError, binascii.Error) as error:
        raise Invalid.field("cursor", "is not a cursor that a page returned") from error
