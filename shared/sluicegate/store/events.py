"""The history of a job: appended by scripts and by its worker, read by everyone (Q-5, Q-6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sluicegate import keys
from sluicegate.errors import Invalid, RequestError
from sluicegate.model import ID_PATTERN, Event, EventLevel, NewEvent
from sluicegate.store import positions, words
from sluicegate.store.connection import Store
from sluicegate.store.positions import Position, position
from sluicegate.times import to_rfc3339

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
    "task.control.requested": ("info", lambda e: f"{e['actorUserId']} asked to {_words(e)}"),
    "task.control.recovery.requested": ("info", lambda e: f"{e['actorUserId']} asked to {_words(e)}"),
    "task.control.recovery.ack": ("info", lambda e: f"The worker goes on as asked: {_words(e)}"),
    "task.control.recovery.rejected": (
        "warn",
        lambda e: f"The worker does not {_words(e)}: {e.get('message') or 'no reason given'}",
    ),
    "task.operator.message": ("info", lambda e: f"{e['actorUserId']}: {_short(e['message'])}"),
    "task.live.requested": ("info", lambda e: f"{e['actorUserId']} asked for a live session"),
    "task.live.ready": ("info", lambda e: "The live session is ready"),
    "task.live.granted": ("warn", lambda e: f"{e['actorUserId']} may type into the live session"),
    "task.live.revoked": ("warn", lambda e: f"{e['actorUserId']} revoked the live session"),
    "task.live.ended": ("info", lambda e: f"The live session ended{_why(e)}"),
    "task.live.error": ("warn", lambda e: f"The live session failed{_why(e)}"),
    "events.truncated": ("warn", lambda e: "The log limit is reached; the full log is an artifact"),
}
"""Events that scripts write: level and the sentence for people. `details` of one is JSON of more fields."""

SHOWN_MESSAGE: Final = 200
"""Characters of an operator's message in the sentence for people; the whole is in the payload."""
_NUMBERS: Final = frozenset({"attempt", "limitBytes", "limitEntries"})
_TIMES: Final = frozenset({"nextAttemptAt", "cancelRequestedAt", "grantedUntil"})


class Append(NamedTuple):
    """One event on its way to a job's history, under the lease token of the attempt that saw it.

    seq: rises with each event of an attempt, in the order in which they are appended; 0 for none.
    """

    job_id: str
    token: int
    event: NewEvent
    seq: int = 0


async def append_many(
    store: Store, worker_id: str, appends: Sequence[Append]
) -> list[Event | RequestError | None]:
    """Append in order; None for a log event past the job's limit, and for one that was appended before.

    Safe to repeat if each has a seq: the history then has each once.
    """
    settings = store.settings
    items = []
    for job_id, token, event, seq in appends:
        payload = msgspec.json.encode(event.payload) if event.payload is not None else b""
        is_log = int(event.payload is not None and event.payload.get("kind") == "log")
        if len(payload) + len(event.message.encode()) > settings.max_event_bytes:
            raise Invalid.field("payload", f"an event is at most {settings.max_event_bytes} bytes")
        items.append((job_id, token, event.level, event.message, payload, is_log, seq))
    replies = await store.run_many(
        "append_events",
        items,
        repeatable=all(append.seq for append in appends),
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

    Raises NotFound (job_not_found), Invalid (after, before; also an `after` that no event can have had yet).
    """
    behind = None if after is None else positions.after("after", after)
    until = None if before is None else positions.before("before", before)
    found = await between(store, job_id, behind, until, sort=sort, limit=limit)
    if after is not None and not found:
        await require_past(store, "after", after, await newest(store, job_id))
    return found


async def between(
    store: Store,
    job_id: str,
    after: Position | None,
    before: Position | None = None,
    *,
    sort: Literal["asc", "desc"] = "asc",
    limit: int,
) -> list[Event]:
    """What `page` says, of places. Raises NotFound (job_not_found)."""
    created, entries = await _with_creation(store, job_id, _read(job_id, after, before, sort, limit))
    found = [stored_event(job_id, entry) for entry in entries]
    first = (created, 0)
    if (after is None or first > after) and (before is None or first < before):
        enqueued = _enqueued(job_id, created)
        found = [enqueued, *found] if sort == "asc" else [*found, enqueued]
    return found[:limit]


async def without_output(
    store: Store,
    job_id: str,
    after: Position | None,
    before: Position | None = None,
    *,
    sort: Literal["asc", "desc"] = "asc",
    limit: int,
) -> tuple[list[Event], Position | None]:
    """Of the next `limit` events those that are no plain output, and the place of the last one, if any.

    `job.enqueued`, which is not stored, is left out. Output is by far the most of a long history: it is
    passed by without being decoded.
    """
    _, entries = await _with_creation(store, job_id, _read(job_id, after, before, sort, limit))
    found = [stored_event(job_id, entry) for entry in entries if not _is_output(entry[1])]
    return found, position(entries[-1][0]) if entries else None


async def newest(store: Store, job_id: str) -> Position:
    """The place of the job's latest event. Raises NotFound (job_not_found)."""
    created, entries = await _with_creation(
        store, job_id, ("XREVRANGE", keys.job_events(job_id), "+", "-", "COUNT", 1)
    )
    return position(entries[0][0]) if entries else (created, 0)


async def require_past(store: Store, name: str, value: str, newest: Position) -> None:
    """Raises Invalid, naming `name`, for an id that no event can have had yet; a time may lie in the future.

    Whoever waited behind such an id would miss all that happens until then. An id that the store has lost
    in a crash is none of these: whatever comes next comes behind it.
    """
    if positions.is_id(value) and (place := position(value)) > newest and place[0] > await store.now_ms():
        raise Invalid.field(name, "is no event of this job: it lies beyond the end of its history")


async def _with_creation(store: Store, job_id: str, read: tuple[Any, ...]) -> tuple[int, list[Any]]:
    """When the job was created, in ms, and the reply to a read of its events."""
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    created, entries = await store.commands(("HGET", keys.job(job_id), "created_at"), read)
    if created is None:
        raise words.refused("JOB_NOT_FOUND", job_id)
    return int(created), entries


def _enqueued(job_id: str, created: int) -> Event:
    """The first event of every job; it is rendered, not stored (70-45)."""
    return Event(
        id=f"{created}-0", job_id=job_id, level="info", message="Enqueued",
        payload={"kind": "job.enqueued"}, created_at=to_rfc3339(created),
    )  # fmt: skip


def _read(
    job_id: str, after: Position | None, before: Position | None, sort: str, limit: int
) -> tuple[Any, ...]:
    low, high, key = positions.low(after), positions.high(before), keys.job_events(job_id)
    if sort == "asc":
        return ("XRANGE", key, low, high, "COUNT", limit)
    return ("XREVRANGE", key, high, low, "COUNT", limit)


def _is_output(flat: list[str]) -> bool:
    """Output as workers write it: no warning, with the payload last and the kind first in it."""
    return flat[1] == "custom" and flat[3] == "info" and flat[-1].startswith('{"kind":"log"')


def stored_event(job_id: str, entry: tuple[str, list[str]]) -> Event:
    """An entry of a job's stream as everyone sees it."""
    event_id, flat = entry
    stored: dict[str, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
    kind = stored.pop("kind")
    created_at = to_rfc3339(position(event_id)[0])
    if kind == "custom":
        payload = msgspec.json.decode(stored["payload"]) if stored["payload"] else None
        return Event(
            id=event_id, job_id=job_id, level=stored["level"],
            message=stored["message"], payload=payload, created_at=created_at,
        )  # fmt: skip
    if (details := stored.pop("details", None)) is not None:
        stored |= msgspec.json.decode(details)
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


def _words(event: dict[str, Any]) -> str:
    """`retry step build` for {action: retry_step, stepId: build}; `pause at once`, `take over`."""
    action = "take over" if event["action"] == "takeover" else event["action"].replace("_", " ")
    return " ".join(filter(None, (action, event.get("stepId"), "at once" if event.get("hard") else "")))


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= SHOWN_MESSAGE else line[: SHOWN_MESSAGE - 1] + "…"


def _why(event: dict[str, Any]) -> str:
    return f": {event['error']}" if event.get("error") else ""


def _value(name: str, text: Any) -> Any:
    if name in _NUMBERS:
        return int(text)
    if name in _TIMES:
        return to_rfc3339(int(text))
    return msgspec.json.decode(text) if name == "receipt" else text


def _appended(word: str, append: Append) -> Event | RequestError | None:
    if word in ("TRUNCATED", "REPEATED"):
        return None
    if not word.startswith("OK "):
        return words.refused(word, append.job_id)
    event_id = word[3:]
    event = append.event
    return Event(
        id=event_id, job_id=append.job_id, level=event.level, message=event.message, payload=event.payload,
        created_at=to_rfc3339(position(event_id)[0]),
    )  # fmt: skip
