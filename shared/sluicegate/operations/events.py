"""The history of a job on every surface: what a worker may report, and how it is paged through."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sluicegate.errors import Invalid, TooLarge
from sluicegate.model import Event, NewEvent
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import AppendCall, EventsQuery, HeldEvent
from sluicegate.settings import Settings
from sluicegate.store import events
from sluicegate.store.connection import Store
from sluicegate.store.positions import is_id


def listed(call: AppendCall) -> list[NewEvent]:
    """The events of a call. Raises Invalid when it brings none, or one and a list."""
    if call.events is None:
        if call.message is None:
            raise Invalid.field("message", "is required, or a list of events")
        return [NewEvent(level=call.level or "info", message=call.message, payload=call.payload)]
    single = {"level": call.level, "message": call.message, "payload": call.payload}
    if given := [name for name, value in single.items() if value is not None]:
        raise Invalid.field(given[0], "stands inside each event when events are given")
    return call.events


def require_sizes(given: Sequence[NewEvent | HeldEvent], settings: Settings) -> None:
    """Raises TooLarge when one of them is larger than SLUICEGATE_MAX_EVENT_BYTES as JSON."""
    for at, event in enumerate(given):
        size = len(msgspec.json.encode(event))
        if size > settings.max_event_bytes:
            raise TooLarge(
                f"event {at} has {size:,} bytes as JSON; SLUICEGATE_MAX_EVENT_BYTES allows "
                f"{settings.max_event_bytes:,}"
            )


async def page(store: Store, job_id: str, asked: EventsQuery) -> Listed[Event]:
    """One page. Raises NotFound, Invalid (after, before, cursor)."""
    after, before = asked.after, asked.before
    if asked.cursor is not None:
        if asked.sort == "asc":
            after = _place(asked.cursor, asked.sort)
        else:
            before = _place(asked.cursor, asked.sort)
    found = await events.page(
        store, job_id, after=after, before=before, sort=asked.sort, limit=asked.limit + 1
    )
    shown, more = found[: asked.limit], len(found) > asked.limit
    return Listed(items=shown, next_cursor=f"{asked.sort}.{shown[-1].id}" if more else None)


def _place(cursor: str, sort: str) -> str:
    """The event that a page ended with. Its sort is part of a cursor: in the other one it would lead back."""
    made_for, _, place = cursor.partition(".")
    if made_for not in ("asc", "desc") or not is_id(place):
        raise Invalid.field("cursor", "is not a cursor that a page returned")
    if made_for != sort:
        raise Invalid.field("cursor", f"is of a page with sort={made_for}; go on in the same sort")
    return place
