"""Pausing one type, repository, capability or worker: what may be asked, the same on every surface (P-12).

A pause of one thing is lifted whenever somebody says so: it waits for no drain, since the rest of the queue
goes on meanwhile and whoever drains one part of it looks at that part's running jobs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from sluicegate.errors import BadRequest
from sluicegate.log import log
from sluicegate.model import PRINTABLE_PATTERN, TYPE_PATTERN, NarrowPause, PauseMode, Pauses, PauseScope
from sluicegate.operations.pause_fields import checked_reason, refusing, until_ms
from sluicegate.pauses import SCOPES
from sluicegate.repositories import canonical
from sluicegate.settings import Settings
from sluicegate.store import narrow_pauses
from sluicegate.store.connection import Store

FIELDS: Final = frozenset({"action", "scope", "value", "mode", "reason", "until"})
"""Their problems are 400, as those of the pause of all workers."""


class NarrowPauseCall(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A request to pause what is of one type or repository, needs one capability, or one worker; or to let it
    go on. A pause needs a mode and a reason; a resume may give a reason.

    `expected_version` refuses the change when someone else changed this pause since the caller looked; 0 is
    the version of one that is not in force.
    """

    action: Literal["pause", "resume"] | None = None
    scope: PauseScope | None = None
    value: Annotated[str, Meta(description="the type, repository, capability or worker id")] | None = None
    mode: PauseMode | None = None
    reason: str | None = None
    until: Annotated[str, Meta(description="when it ends by itself, like 2026-01-31T12:00:00Z")] | None = None
    expected_version: Annotated[int, Meta(ge=0)] | None = None


async def listing(store: Store) -> Pauses:
    return await narrow_pauses.read(store)


async def change(store: Store, call: NarrowPauseCall, *, actor: str) -> Pauses:
    """Pause, change the pause, or lift it; then all that are in force.

    Raises BadRequest, and Conflict: pause_unchanged, version_conflict, too_many_pauses. A refused call
    changes nothing.
    """
    action, reason = checked_reason(call.action, call.mode, call.reason)
    scope, value = _what(call, store.settings)
    changed = await narrow_pauses.change(
        store,
        scope=scope,
        value=value,
        action=action,
        mode=call.mode if action == "pause" else None,
        reason=reason,
        actor=actor,
        until_ms=until_ms(action, call.until),
        expected_version=call.expected_version,
    )
    log_change(action, changed, reason=reason, actor=actor)
    return await narrow_pauses.read(store)


def log_change(action: str, pause: NarrowPause, **fields: Any) -> None:
    log.info(
        "narrow_paused" if action == "pause" else "narrow_resumed",
        control="worker_pause",
        action=action,
        scope=pause.scope,
        value=pause.value,
        mode=pause.mode,
        until=pause.until,
        version=pause.version,
        **fields,
    )


def _what(call: NarrowPauseCall, settings: Settings) -> tuple[PauseScope, str]:
    """Scope and value, a repository in the form in which they are compared (70-17)."""
    if call.scope is None:
        raise BadRequest.field("scope", f"is needed: {', '.join(SCOPES)}")
    value = call.value
    if value is None:
        raise BadRequest.field("value", f"is needed: which {call.scope}")
    if call.scope == "repository":
        with refusing(FIELDS):
            return call.scope, canonical(value, settings, path="value")
    pattern = TYPE_PATTERN if call.scope == "type" else PRINTABLE_PATTERN
    if not re.search(pattern, value):
        allowed = "a job type like `task`" if call.scope == "type" else "1 to 128 printable characters"
        raise BadRequest.field("value", f"is not {allowed}")
    return call.scope, value
