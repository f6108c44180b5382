"""What a run's terminal showed lately and what is typed into it, while a live session is open (L-14)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal, NamedTuple

from sluicegate import keys
from sluicegate.errors import Busy, Conflict, NotFound, RequestError
from sluicegate.model import ID_PATTERN
from sluicegate.store import words
from sluicegate.store.connection import Store
from sluicegate.store.streams import BEGINNING, Entry, Streams

MOST_ENTRIES: Final = 4_000
"""Of what was shown: a terminal that shows single characters has many small ones."""
MOST_TYPED: Final = 200
TERMINAL_MS: Final = 3_600_000
"""So long what was shown is kept after the last of it."""
TYPED_MS: Final = 10_000
"""What no worker took within this time is not typed any more: nobody would expect it."""
WATCHED_MS: Final = 10_000

Kind = Literal["d", "size", "left_out"]


class Piece(NamedTuple):
    """Something that a terminal showed. place: of its first byte, in all that the attempt has shown.

    kind: `d` bytes; `size` the columns and rows from here on, `120x40`; `left_out` how many bytes are not
    shown here. The last two take one place.
    """

    place: int
    kind: Kind
    data: bytes

    @property
    def end(self) -> int:
        return self.place + (len(self.data) if self.kind == "d" else 1)


class Shown(NamedTuple):
    """watched: whether anybody looks. granted_until_ms: by the store's clock; 0 while nobody may type."""

    watched: bool
    granted_until_ms: int


class Typed(NamedTuple):
    """What an operator typed, or the size that the terminal is to have. id: of its entry."""

    id: str
    kind: Literal["d", "size"]
    data: bytes


class Standing(NamedTuple):
    """A run's live session as its viewers need it. Times by the store's clock, as `now_ms` is."""

    job_status: str | None
    session: str | None
    token: int
    granted_until_ms: int
    granted_to: str | None
    now_ms: int

    @property
    def open(self) -> bool:
        """Whether its terminal can be watched."""
        return self.job_status in ("queued", "running") and self.session in ("starting", "ready")

    def held_by(self, token: int) -> bool:
        """Whether it is the session of this attempt, and open."""
        return self.open and self.token == token

    @property
    def writer(self) -> str | None:
        """Who may type just now."""
        granted = self.session == "ready" and self.granted_until_ms > self.now_ms
        return self.granted_to if granted else None


async def show(
    store: Store, worker_id: str, job_id: str, token: int, pieces: Sequence[Piece], *, typed: str = ""
) -> Shown:
    """Add what the terminal shows. typed: the last entry of what was typed that it got; it goes. Repeatable.

    Raises LeaseLost, Conflict (live_session_state_conflict: the session is over), NotFound.
    """
    reply = await store.run(
        "show_terminal",
        pieces,
        worker=worker_id,
        id=job_id,
        token=token,
        scrollback=store.settings.terminal_scrollback_bytes,
        entries=MOST_ENTRIES,
        keep_ms=TERMINAL_MS,
        typed=typed,
    )
    if reply[0] == "NO_SESSION":
        raise _over(job_id)
    if reply[0] != "SHOWN":
        raise words.refused(reply[0], job_id)
    return Shown(bool(int(reply[1])), int(reply[2]))


async def type_into(store: Store, job_id: str, by: str, kind: Literal["d", "size"], data: bytes) -> int:
    """Type under this operator's grant; when it ends, in ms. Raises what `refusal` says, OutcomeUnknown."""
    reply = await store.run(
        "type_terminal", repeatable=False, id=job_id, by=by, kind=kind, data=data, keep_ms=TYPED_MS,
        most=MOST_TYPED,
    )  # fmt: skip
    if reply[0] == "TYPED":
        return int(reply[1])
    raise _refused(reply[0], job_id)


async def give_back(store: Store, job_id: str, by: str) -> bool:
    """End this operator's grant; False when it is not theirs, or has ended. Raises NotFound."""
    reply = await store.run("give_back_live", id=job_id, actor=by, metadata="{}")
    if reply[0] == "JOB_NOT_FOUND":
        raise words.refused(reply[0], job_id)
    return bool(reply[0] == "DONE")


async def standing(store: Store, job_id: str) -> Standing:
    """Reads only. A job that is not there has no status."""
    (found,) = await standings(store, [job_id])
    return found


async def standings(store: Store, job_ids: Sequence[str]) -> list[Standing]:
    """Of several runs, of one moment, in one round trip."""
    known = [each for each in job_ids if ID_PATTERN.match(each)]
    seconds, *replies = await store.commands(
        ("TIME",),
        *(
            command
            for each in known
            for command in (
                ("HGET", keys.job(each), "status"),
                ("HMGET", keys.job_live(each), "status", "token", "rw_until", "rw_by"),
            )
        ),
    )
    now_ms = int(seconds[0]) * 1000 + int(seconds[1]) // 1000
    by_id = dict(zip(known, zip(replies[::2], replies[1::2], strict=True), strict=True))
    return [_standing(*by_id.get(each, (None, [None] * 4)), now_ms) for each in job_ids]


async def keep_watched(store: Store, job_ids: Sequence[str]) -> None:
    """Somebody watches these for WATCHED_MS from now on: their workers publish at once."""
    await store.commands(*(("SET", keys.job_watched(each), "1", "PX", WATCHED_MS) for each in job_ids))


def _shown_pieces(entries: Sequence[Entry]) -> list[tuple[int, Piece]]:
    """Entries of a terminal's stream: the token of the attempt, and the piece."""
    found = []
    for entry_id, fields in entries:
        token, _, place = entry_id.partition("-")
        ((kind, data),) = fields.items()
        found.append((int(token), Piece(int(place) - 1, kind.decode(), data)))  # type: ignore[arg-type]
    return found


@asynccontextmanager
async def follow_shown(
    streams: Streams, job_id: str, deliver: Callable[[list[tuple[int, Piece]]], None]
) -> AsyncIterator[None]:
    """Inside the block, deliver is called with what the run's terminal showed lately, and with what comes.

    Each piece comes with the token of its attempt.
    """
    key = keys.job_terminal(job_id)
    async with streams.follow(key, BEGINNING, lambda entries: deliver(_shown_pieces(entries))):
        yield


@asynccontextmanager
async def follow_typed(
    streams: Streams, job_id: str, token: int, place: str, deliver: Callable[[Typed], None]
) -> AsyncIterator[None]:
    """Inside the block, deliver is called with what is typed for this attempt behind `place`, in order."""

    def each(entries: list[Entry]) -> None:
        for typed in typed_entries(entries, token):
            deliver(typed)

    async with streams.follow(keys.job_typed(job_id), place, each):
        yield


def typed_entries(entries: Sequence[Entry], token: int) -> list[Typed]:
    """Those that were typed for this attempt."""
    found = []
    for entry_id, fields in entries:
        if fields.pop(b"token", b"") == str(token).encode():
            ((kind, data),) = fields.items()
            found.append(Typed(entry_id, kind.decode(), data))  # type: ignore[arg-type]
    return found


def _standing(status: str | None, live: Sequence[str | None], now_ms: int) -> Standing:
    session, token, until, to = live
    return Standing(status, session, int(token or 0), int(until or 0), to, now_ms)


def _over(job_id: str) -> Conflict:
    return Conflict(f"the live session of job {job_id} is over", code="live_session_state_conflict")


def _refused(word: str, job_id: str) -> RequestError:
    word, _, rest = word.partition(" ")
    match word:
        case "NO_SESSION":
            return NotFound(f"job {job_id} has no live session now", code="live_session_not_found")
        case "NOT_READY":
            detail = f"the live session is {rest}: nothing can be typed yet"
        case "NOT_GRANTED":
            detail = "typing needs a grant, and there is none, or it has ended"
        case "GRANTED_TO":
            detail = f"the grant to type belongs to {rest}"
        case "FULL":
            return Busy("the worker takes nothing of what is typed just now", code="rate_limited")
        case _:
            return words.refused(f"{word} {rest}".strip(), job_id)
    return Conflict(detail, code="live_session_state_conflict")
