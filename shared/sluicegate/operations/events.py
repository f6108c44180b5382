"""What a worker may report about its job, the same on every surface."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sluicegate.errors import Invalid, TooLarge
from sluicegate.model import NewEvent
from sluicegate.operations.calls import AppendCall
from sluicegate.settings import Settings


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


def require_sizes(events: Sequence[NewEvent], settings: Settings) -> None:
    """Raises TooLarge when one of them is larger than SLUICEGATE_MAX_EVENT_BYTES as JSON."""
    for at, event in enumerate(events):
        size = len(msgspec.json.encode(event))
        if size > settings.max_event_bytes:
            raise TooLarge(
                f"event {at} has {size:,} bytes as JSON; SLUICEGATE_MAX_EVENT_BYTES allows "
                f"{settings.max_event_bytes:,}"
            )
