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
    ordered = sorted(names)
    kinds = await store.commands(*(("TYPE", name) for name in ordered)) if ordered else []
    asked = [(name, kind, _read(name, kind)) for name, kind in zip(ordered, kinds, strict=True)]
    replies = await store.commands(*(command for *_, command in asked)) if asked else []
    return {
        name.removeprefix(keys.Q): await _value(store, name, kind, reply)
        for (name, kind, _), reply in zip(asked, replies, strict=True)
    }


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


def _read(name: str, kind: str) -> tuple[Any, ...]:
    """The command that gives the whole value."""
    match kind:
        case "string":
            return ("GET", name)
        case "hash":
            return ("HGETALL", name)
        case "list":
            return ("LRANGE", name, 0, -1)
        case "zset":
            return ("ZRANGE", name, 0, -1, "WITHSCORES")
        case "stream":
            return ("XRANGE", name, "-", "+")
    raise AssertionError(f"{name} is a {kind}: no script makes one")


async def _value(store: Store, name: str, kind: str, reply: Any) -> Any:
    if kind == "stream":
        return {
            "entries": {entry: _pairs(flat) for entry, flat in reply},
            "groups": await _groups(store, name),
        }
    return _pairs(reply) if kind in ("hash", "zset") else reply


async def _groups(store: Store, name: str) -> dict[str, Any]:
    groups = {}
    for flat in await store.command("XINFO", "GROUPS", name):
        group = _pairs(flat)
        pending = await store.command("XPENDING", name, group["name"], "-", "+", 10_000)
        held = {entry: (consumer, delivered) for entry, consumer, _, delivered in pending}
        groups[group["name"]] = {"delivered to": group["last-delivered-id"], "pending": held}
    return groups


def _pairs(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
