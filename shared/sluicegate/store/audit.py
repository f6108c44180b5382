"""Who did what: the audit stream, append-only (P-3, C-7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from sluicegate import keys
from sluicegate.store import rendering
from sluicegate.store.connection import Store
from sluicegate.store.jobs import MAX_SCANNED
from sluicegate.store.positions import before_cursor, position
from sluicegate.times import to_rfc3339

BATCH: Final = 250
"""A filter is tried on so many entries of one read: what is looked for is mostly near the end."""


class AuditEntry(Struct, rename="camel", kw_only=True):
    id: str
    control: str
    action: str
    mode: str | None
    reason: str | None
    actor_user_id: str
    target: str | None
    forced: bool
    created_at: str


class AuditFilter(Struct, frozen=True, kw_only=True):
    """What a page shows. target: as it is stored. since_ms: inclusive, until_ms: exclusive."""

    control: str | None = None
    action: str | None = None
    actor: str | None = None
    target: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def looks_inside(self) -> bool:
        return any(value is not None for value in (self.control, self.action, self.actor, self.target))

    def admits(self, stored: Mapping[str, str]) -> bool:
        return (
            (self.control is None or stored["control"] == self.control)
            and (self.action is None or stored["action"] == self.action)
            and (self.actor is None or stored["actor"] == self.actor)
            and (self.target is None or stored.get("target") == self.target)
        )


EVERY: Final = AuditFilter()


async def page(
    store: Store, filter: AuditFilter = EVERY, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[AuditEntry], str | None]:
    """Entries, newest first, and the cursor of the next page (None at the end). Raises Invalid (cursor).

    A page that looks inside entries reads at most 2,000 of them and may be short, with a cursor; times alone
    cost nothing.
    """
    high, low = before_cursor(cursor, filter.until_ms), max(0, filter.since_ms or 0)
    left = MAX_SCANNED if filter.looks_inside else limit + 1
    entries: list[AuditEntry] = []
    while True:
        batch = min(left, BATCH)
        raw = await store.command("XREVRANGE", keys.AUDIT, high, low, "COUNT", batch)
        for entry_id, flat in raw:
            if filter.admits(stored := rendering.fields(flat)):
                if len(entries) == limit:
                    return entries, entries[-1].id
                entries.append(_entry(entry_id, stored))
        left -= batch
        if len(raw) < batch:
            return entries, None
        if not left:
            return entries, raw[-1][0]
        high = before_cursor(raw[-1][0])


def render(entry_id: str, flat: list[str]) -> AuditEntry:
    """An entry from its stored fields."""
    return _entry(entry_id, rendering.fields(flat))


def _entry(entry_id: str, stored: Mapping[str, str]) -> AuditEntry:
    return AuditEntry(
        id=entry_id,
        control=stored["control"],
        action=stored["action"],
        mode=stored.get("mode") or None,
        reason=stored.get("reason") or None,
        actor_user_id=stored["actor"],
        target=stored.get("target") or None,
        forced=stored.get("forced") == "1",
        created_at=to_rfc3339(position(entry_id)[0]),
    )
