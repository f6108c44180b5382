"""The concurrency limits in force: one setting for all services, kept in the store (Q-18)."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.log import log
from sluicegate.store.connection import Store


async def declare(store: Store, text: str, *, by: str) -> bool:
    """Work by these limits from now on, if others are in force; whether they were others.

    text: as `sluicegate.limits.Limits.text`. When it returns, lanes that wait and jobs that run are under
    the new limits. Whoever declares last decides: in a rolling restart that is the newest process.
    """
    reply = await store.run("set_limits", text=text, by=by)
    changed = bool(reply[0] == "CHANGED")
    if changed:
        log.warning("limits.changed", before=reply[1], now=text, by=by)
    await apply(store)
    return changed


async def apply(store: Store) -> None:
    """Help a change of the limits through, slice by slice, also one that somebody else began and left."""
    while (await store.run("apply_limits"))[0] != "DONE":
        pass


async def in_force(store: Store) -> str:
    """The limits as the scripts read them."""
    return str(await store.command("HGET", keys.META, "limits") or "")
