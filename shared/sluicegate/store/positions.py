"""Places in a stream: what a page goes on behind, what a follower resumes from.

The id of an entry is `<ms>-<sequence>`, in order of the stream; a time stands for all of its millisecond.
"""

from __future__ import annotations

from typing import Final

from sluicegate.errors import Invalid
from sluicegate.times import from_rfc3339

Position = tuple[int, int]
"""An entry's id as a pair: it sorts as the stream does."""

BEFORE_ALL: Final[Position] = (-1, 0)
LAST_SEQUENCE: Final = 2**64 - 1


def position(entry_id: str) -> Position:
    """Raises ValueError for what cannot be an id."""
    ms, _, sequence = entry_id.partition("-")
    found = int(ms), int(sequence or 0)
    if not all(0 <= number < 2**64 for number in found):
        raise ValueError("not an event id")
    return found


def entry_id(place: Position) -> str:
    return f"{place[0]}-{place[1]}"


def after(name: str, value: str) -> Position:
    """What lies behind this place came after `value`, an id or a time. Raises Invalid, naming `name`."""
    return _parse(name, value, LAST_SEQUENCE)


def before(name: str, value: str) -> Position:
    """What lies before this place came before `value`, an id or a time. Raises Invalid, naming `name`."""
    return _parse(name, value, 0)


def is_id(value: str) -> bool:
    """Whether it names an entry, not a time."""
    try:
        position(value)
    except ValueError:
        return False
    return True


def low(place: Position | None) -> str:
    """An exclusive lower bound, as XRANGE takes it."""
    return "-" if place is None or place < (0, 0) else f"({entry_id(place)}"


def high(place: Position | None) -> str:
    """An exclusive upper bound, as XRANGE takes it. Before the first place of all it would refuse one."""
    if place is None:
        return "+"
    return f"({entry_id(place)}" if place > (0, 0) else "0-0"


def before_cursor(cursor: str | None, until_ms: int | None = None) -> str:
    """Where a page of a stream, newest first, goes on: the bound that XREVRANGE takes. Raises Invalid.

    until_ms: itself and what came later is left out, wherever the cursor is.
    """
    places = [_cursor(cursor), None if until_ms is None else (until_ms, 0)]
    return high(min((place for place in places if place is not None), default=None))


def after_cursor(cursor: str | None) -> str:
    """Where a page of a stream, oldest first, goes on: the bound that XRANGE takes. Raises Invalid."""
    return low(_cursor(cursor))


def _cursor(cursor: str | None) -> Position | None:
    try:
        return None if cursor is None else position(cursor)
    except ValueError as error:
        raise Invalid.field("cursor", "is not a cursor that a page returned") from error


def _parse(name: str, value: str, sequence: int) -> Position:
    try:
        return position(value)
    except ValueError:
        try:
            ms = from_rfc3339(value)
        except ValueError as error:
            raise Invalid.field(
                name, "is neither an event id nor a time like 2026-01-31T12:00:00.000Z"
            ) from error
    if ms < 0:
        return BEFORE_ALL
    return ms, sequence
