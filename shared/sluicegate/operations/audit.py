"""Looking through the audit, the same on every surface (70-21)."""

from __future__ import annotations

from typing import Final

from sluicegate.errors import Invalid
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import AuditQuery
from sluicegate.operations.jobs import moment
from sluicegate.repositories import canonical
from sluicegate.settings import Settings
from sluicegate.store import Store, audit
from sluicegate.store.audit import AuditEntry, AuditFilter

REPOSITORY: Final = "repository:"


async def page(store: Store, asked: AuditQuery) -> Listed[AuditEntry]:
    """Newest first; a filtered page may be short before the end (70-57). Raises Invalid naming the field."""
    since, until = moment("since", asked.since), moment("until", asked.until)
    if since is not None and until is not None and since >= until:
        raise Invalid.field("until", "must lie after since")
    filter = AuditFilter(
        control=asked.control,
        action=asked.action,
        actor=asked.actor,
        target=_as_stored(asked.target, store.settings),
        since_ms=since,
        until_ms=until,
    )
    found, following = await audit.page(store, filter, cursor=asked.cursor, limit=asked.limit)
    return Listed(items=found, next_cursor=following)


def _as_stored(target: str | None, settings: Settings) -> str | None:
    """A repository in the form in which pauses have it (70-17); anything else as it is."""
    if target is None or not target.startswith(REPOSITORY):
        return target
    return REPOSITORY + canonical(target.removeprefix(REPOSITORY), settings, path="target")
