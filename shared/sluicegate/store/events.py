"""The history of a job: appended by scripts and by its worker, read by everyone (Q-5, Q-6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sluicegate import keys
from sluicegate.errors import Invalid, RequestError
from sluicegate.model import Event, EventLevel, NewEvent
from sluicegate.store import jobs, words
from sluicegate.store.connection import Store
from sluicegate.times import from_rfc3339, to_rfc3339

LIFECYCLE: Final[dict[str, tuple[EventLevel, Callable[[dict[str, Any]], str]]]] = {
    "job.enqueued": ("info", lambda e: "Enqueued"),
    "job.claimed": ("info", lambda e: f"Attempt {e['attempt']} claimed by {e['workerId']}"),
    "job.retry_scheduled": (
        "warn",
        lambda e: f"Attempt {e['attempt']} failed: {e['error']}; will be retried",
    ),
    "job.lease_expired": ("warn", lambda e: f"The lease of {e['workerId']} expired"),
    "job.released": ("info", lambda e: f"Released by {e['workerId']}"),
    "job.succeeded": ("info", lambda e: "Succeeded"),
    "job.failed": ("error", lambda e: f"Failed: {e['error']}"),
    "job.dead_lettered": ("error", lambda e: f"Attempts used up: {e['error']}"),
    "job.cancel.requested": ("warn", lambda e: f"Cancel requested by {e['actorUserId']}"),
    "job.cancel.too_late": ("warn", lambda e: "The cancel request came too late: the job completed"),
    "job.cancelled": ("warn", lambda e: "Cancelled"),
    "job.redriven": ("info", lambda e: f"Redriven by {e['actorUserId']}"),
    "events.truncated": ("warn", lambda e: "The log limit is reached; the full log is an artifact"),
}
"""Events that scripts write: level and the sentence for people."""

_NUMBERS: Final = frozenset({"attempt", "limitBytes", "limitEntries"})
_TIMES: Final = frozenset({"nextAttemptAt"})


class Append(NamedTuple):
    """One event on its way to a job's history, under the lease token of the attempt that saw it."""

    job_id: str
    token: int
    event: NewEvent


async def append_many(
    store: Store, worker_id: str, appends: Sequence[Append]
) -> list[Event | RequestError | None]:
    """Append in order; None where the job's log limit swallowed a log event. Not safe to repeat."""
    settings = store.settings
    items = []
    for job_id, token, event in appends:
        payload = msgspec.json.encode(event.payload) if event.payload is not None else b""
        is_log = int(event.payload is not None and event.payload.get("kind") == "log")
        if len(payload) + len(event.message.encode()) > settings.max_event_bytes:
            raise Invalid.field("payload", f"an event is at most {settings.max_event_bytes} bytes")
        items.append((job_id, token, event.level, event.message, payload, is_log))
    replies = await store.run_many(
        "append_events",
        items,
        repeatable=False,
        worker=worker_id,
        max_log_bytes=settings.job_log_max_bytes,
        max_log_entries=settings.job_log_max_entries,
    )
    return [_appended(word, append) for word, append in zip(replies, appends, strict=True)]


async def append(
    store: Store, worker_id: str, job_id: str, token: int, events: Sequence[NewEvent]
) -> list[Event]:
    """Append to one job's history; what the log limit swallowed is left out. Raises LeaseLost, NotFound."""
    results = await append_many(store, worker_id, [Append(job_id, token, event) for event in events])
    for result in results:
        if isinstance(result, RequestError):
            raise result
    return [result for result in results if isinstance(result, Event)]


async def page(
    store: Store,
    job_id: str,
    *,
    after: str | None = None,
    before: str | None = None,
    sort: Literal["asc", "desc"] = "asc",
    limit: int = 100,
) -> list[Event]:
    """Events in stable order. after, before: an event id or an RFC 3339 time, exclusive.

    Raises NotFound (job_not_found), Invalid (after, before).
    """
    job = await jobs.get(store, job_id)
    created = from_rfc3339(job.created_at)
    low = _bound("after", after, "-", end=True)
    high = _bound("before", before, "+", end=False)
    key = keys.job_events(job_id)
    first = Event(
        id=f"{created}-0", job_id=job_id, level="info", message="Enqueued",
        payload={"kind": "job.enqueued"}, created_at=job.created_at,
    )  # fmt: skip
    shown = [first] if _within(first.id, low, high) else []
    if sort == "asc":
        entries = await store.command("XRANGE", key, low, high, "COUNT", limit)
        found = shown + [_event(job_id, entry) for entry in entries]
    else:
        entries = await store.command("XREVRANGE", key, high, low, "COUNT", limit)
        found = [_event(job_id, entry) for entry in entries] + shown
    return found[:limit]


async def latest_id(store: Store, job_id: str) -> str | None:
    """The id of the newest stored event; None when nothing was appended yet."""
    entries = await store.command("XREVRANGE", keys.job_events(job_id), "+", "-", "COUNT", 1)
    return entries[0][0] if entries else None


def before_cursor(cursor: str | None) -> str:
    """Where a page of a stream, newest first, goes on: the bound that XREVRANGE takes. Raises Invalid."""
    try:
        return "+" if cursor is None else "({}-{}".format(*position(cursor))
    except ValueError as error:
        raise Invalid.field("cursor", "is not a cursor that a page returned") from error


def position(event_id: str) -> tuple[int, int]:
    """An event id as a pair that sorts in order of the history. Raises ValueError."""
    ms, _, sequence = event_id.partition("-")
    found = int(ms), int(sequence or 0)
    if not all(0 <= number < 2**64 for number in found):
        raise ValueError("not an event id")
    return found


def _event(job_id: str, entry: tuple[str, list[str]]) -> Event:
    event_id, flat = entry
    stored = dict(zip(flat[::2], flat[1::2], strict=True))
    kind = stored.pop("kind")
    created_at = to_rfc3339(position(event_id)[0])
    if kind == "custom":
        payload = msgspec.json.decode(stored["payload"]) if stored["payload"] else None
        return Event(
            id=event_id, job_id=job_id, level=stored["level"],  # type: ignore[arg-type]
            message=stored["message"], payload=payload, created_at=created_at,
        )  # fmt: skip
    level, sentence = LIFECYCLE[kind]
    payload = {"kind": kind} | {name: _value(name, text) for name, text in stored.items() if text != ""}
    return Event(
        id=event_id,
        job_id=job_id,
        level=level,
        message=sentence(stored),
        payload=payload,
        created_at=created_at,
    )


def _value(name: str, text: str) -> Any:
    if name in _NUMBERS:
        return int(text)
    if name in _TIMES:
        return to_rfc3339(int(text))
    return msgspec.json.decode(text) if name == "receipt" else text


def _appended(word: str, append: Append) -> Event | RequestError | None:
    if word == "TRUNCATED":
        return None
    if not word.startswith("OK "):
        return words.refused(word, append.job_id)
    event_id = word[3:]
    event = append.event
    return Event(
        id=event_id, job_id=append.job_id, level=event.level, message=event.message, payload=event.payload,
        created_at=to_rfc3339(position(event_id)[0]),
    )  # fmt: skip


def _bound(name: str, value: str | None, default: str, *, end: bool) -> str:
    """An exclusive bound as XRANGE takes it. A time means all of its millisecond is outside."""
    if value is None:
        return default
    try:
        ms, sequence = position(value)
    except ValueError:
        try:
            ms = from_rfc3339(value)
        except ValueError as error:
            raise Invalid.field(
                name, "is neither an event id nor a time like 2026-01-31T12:00:00.000Z"
            ) from error
        return f"({ms}-18446744073709551615" if end else f"({ms}-0"
    return f"({ms}-{sequence}"


def _within(event_id: str, low: str, high: str) -> bool:
    at = position(event_id)
    return (low == "-" or at > position(low[1:])) and (high == "+" or at < position(high[1:]))
