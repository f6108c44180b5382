"""What every call that pauses or resumes says: how, why, until when (P-6, P-13). Wrong fields are 400."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final, Literal

from sluicegate.errors import BadRequest, Invalid
from sluicegate.model import PauseMode
from sluicegate.times import from_rfc3339, now_ms

MAX_REASON: Final = 2000
MAX_AHEAD_MS: Final = 365 * 86_400_000
Action = Literal["pause", "resume"]


@contextlib.contextmanager
def refusing(fields: frozenset[str]) -> Iterator[None]:
    """Problems of these fields are 400; those of any other stay 422 (70-3, 70-47)."""
    try:
        yield
    except Invalid as error:
        if {each["path"] for each in error.extra["errors"]} & fields:
            raise BadRequest(error.detail, errors=error.extra["errors"]) from None
        raise


def checked_reason(
    action: Action | None, mode: PauseMode | None, reason: str | None
) -> tuple[Action, str | None]:
    """The action, and the reason without blanks around it: a pause has one, and a mode."""
    reason = (reason or "").strip() or None
    if action is None:
        raise BadRequest.field("action", "is needed: pause or resume")
    if reason is not None and len(reason) > MAX_REASON:
        raise BadRequest.field("reason", f"is longer than {MAX_REASON:,} characters")
    if action == "pause" and mode is None:
        raise BadRequest.field("mode", "is needed to pause: drain or quiesce")
    if action == "pause" and reason is None:
        raise BadRequest.field("reason", "is needed to pause, and may not be blank")
    return action, reason


def until_ms(action: Action, until: str | None) -> int | None:
    """When a pause is to end. Whether that lies ahead is the store's to say, by whose clock it ends."""
    if until is None:
        return None
    if action == "resume":
        raise BadRequest.field("until", "goes with action pause only")
    try:
        ends = from_rfc3339(until)
    except (ValueError, OverflowError):
        raise BadRequest.field("until", "is not a time like 2026-01-31T12:00:00.000Z") from None
    if ends > now_ms() + MAX_AHEAD_MS:
        raise BadRequest.field("until", "is more than 365 days ahead")
    return ends
