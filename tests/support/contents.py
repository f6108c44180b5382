"""Everything that a store holds, in words: to compare a before-state with an after-state."""

from __future__ import annotations

from typing import Any

from sluicegate import keys
from sluicegate.store.connection import Store

Contents = dict[str, Any]


async def contents(store: Store) -> Contents:
    """Each key (without its tag) with its whole value; streams with their groups and pending entries."""
    names: set[str] = set()
    cursor = "0"
    while True:
        cursor, found = await store.command("SCAN", cursor, "COUNT", 1000)
        names.update(found)
        if cursor == "0":
            break
    return {name.removeprefix(keys.Q): await _value(store, name) for name in sorted(names)}


async def fields(store: Store, job_id: str) -> dict[str, str]:
    """The hash of one job, without what never changes."""
    found = _pairs(await store.command("HGETALL", keys.job(job_id)))
    return {name: value for name, value in found.items() if name not in ("spec", "lane", "created_at")}


async def kinds(store: Store, job_id: str) -> list[str]:
    """The names of a job's stored events, oldest first."""
    entries = await store.command("XRANGE", keys.job_events(job_id), "-", "+")
    return [_pairs(flat)["kind"] for _, flat in entries]


def changed(before: Contents, after: Contents) -> set[str]:
    """The keys that differ, without the counters of the flow: which bucket they are in, the clock says."""
    differ = {name for name in before | after if before.get(name) != after.get(name)}
    return {name for name in differ if not name.startswith("flow:")}


async def _value(store: Store, name: str) -> Any:
    kind = await store.command("TYPE", name)
    match kind:
        case "string":
            return await store.command("GET", name)
        case "hash":
            return _pairs(await store.command("HGETALL", name))
        case "list":
            return await store.command("LRANGE", name, 0, -1)
        case "zset":
            return _pairs(await store.command("ZRANGE", name, 0, -1, "WITHSCORES"))
        case "stream":
            return await _stream(store, name)
    raise AssertionError(f"{name} is a {kind}: no script makes one")


async def _stream(store: Store, name: str) -> dict[str, Any]:
    entries = {entry: _pairs(flat) for entry, flat in await store.command("XRANGE", name, "-", "+")}
    groups = {}
    for flat in await store.command("XINFO", "GROUPS", name):
        group = _pairs(flat)
        pending = await store.command("XPENDING", name, group["name"], "-", "+", 10_000)
        held = {entry: (consumer, delivered) for entry, consumer, _, delivered in pending}
        groups[group["name"]] = {"delivered to": group["last-delivered-id"], "pending": held}
    return {"entries": entries, "groups": groups}


def _pairs(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
