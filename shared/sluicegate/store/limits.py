"""The concurrency limits in force: one setting for all services, kept in the store (Q-18)."""

from __future__ import annotations

from typing import Final

from sluicegate import keys
from sluicegate.limits import Limits
from sluicegate.log import log
from sluicegate.store.connection import Store
from sluicegate.store.pages import zset_pages

SLICE: Final = 100


async def declare(store: Store, *, by: str) -> bool:
    """Work by this process's limits from now on, unless its setting says nothing; whether they are new.

    Called at start by the services that keep the queue's rules, never by workers or producers. Whoever
    declares last decides: in a rolling restart that is the newest process. When it returns, lanes that wait
    and jobs that run are under the limits in force. Raises ConfigurationError when the setting is wrong.
    """
    setting = store.settings.concurrency_limits
    changed = False
    if setting is not None:
        text = Limits.of_setting(setting, store.settings).text
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


async def in_force(store: Store) -> Limits:
    """The limits by which claims work."""
    return Limits.of_text(await store.command("HGET", keys.META, "limits") or "")


async def warn_of_difference(store: Store) -> bool:
    """Log when this process was told other limits than those in force; whether it was."""
    setting = store.settings.concurrency_limits
    if setting is None:
        return False
    told = Limits.of_setting(setting, store.settings).text
    text, by = await store.command("HMGET", keys.META, "limits", "limits_by")
    differs = told != (text or "")
    if differs:
        log.warning("limits.differ", told=told, in_force=text or "", declared_by=by)
    return differs


async def reconcile(store: Store) -> list[str]:
    """Make the slots agree with the jobs that run; what differed, as sentences. Not while paused."""
    items: list[tuple[str, str]] = []
    async for page in zset_pages(store, keys.SLOTS):
        items += [(job, name) for name, _, job in (member.rpartition("|") for member in page)]
    async for page in zset_pages(store, keys.LEASES):
        items += [(job, "") for job in page]
    found: list[str] = []
    for start in range(0, len(items), SLICE):
        part = items[start : start + SLICE]
        reply = await store.run("reconcile_slots", part)
        if reply[0] == "PAUSED":
            return found
        found += [
            f"job {job}: {word.removeprefix('FIXED ')}"
            for (job, _), word in zip(part, reply[0], strict=True)
            if word != "OK"
        ]
    return found
