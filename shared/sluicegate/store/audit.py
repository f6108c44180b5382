"""Who did what: the audit stream, append-only (P-3, C-7)."""

from __future__ import annotations

from msgspec import Struct

from sluicegate import keys
from sluicegate.store.connection import Store
from sluicegate.store.positions import before_cursor, position
from sluicegate.times import to_rfc3339


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


async def page(
    store: Store, *, cursor: str | None = None, limit: int = 50, control: str | None = None
) -> tuple[list[AuditEntry], str | None]:
    """Entries, newest first, and the cursor of the next page. Raises Invalid (cursor).

    control: only entries of this control; such a page reads at most 2,000 entries and may be short.
    """
    high = before_cursor(cursor)
    room = limit + 1 if control is None else 2000
    raw = await store.command("XREVRANGE", keys.AUDIT, high, "-", "COUNT", room)
    entries: list[AuditEntry] = []
    for entry_id, flat in raw:
        entry = render(entry_id, flat)
        if control in (None, entry.control):
            if len(entries) == limit:
                return entries, entries[-1].id
            entries.append(entry)
    return entries, raw[-1][0] if len(raw) == room else None


def render(entry_id: str, flat: list[str]) -> AuditEntry:
    """An entry from its stored fields."""
    stored = dict(zip(flat[::2], flat[1::2], strict=True))
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
