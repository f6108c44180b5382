"""Says where lanes, their counts, the orders in which workers read them, and bells disagree."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sluicegate import keys
from sluicegate.store import limit_invariants
from sluicegate.store.connection import Store
from sluicegate.store.limit_invariants import Held
from sluicegate.store.pages import at_once, hash_pages, key_pages, zset_pages
from sluicegate.store.rendering import fields

BAND: Final = 2**42
"""A score is (1000 - priority) * BAND + ms."""

Found = list[str]


async def survey(store: Store) -> tuple[int, Found]:
    """How many entries all lanes have, and the differences."""
    found: Found = []
    entries = 0
    scores: dict[str, float] = {}
    async for page in hash_pages(store, keys.LANES):
        counted, ready, faults = await _lanes(store, page)
        entries += counted
        scores |= ready
        found += faults
    async for names in key_pages(store, keys.lane("*", "")):
        lanes = [name.removeprefix(keys.lane("", "")) for name in names]
        reads = [
            read
            for lane in lanes
            for read in (("EXISTS", keys.lane(lane, "")), ("HEXISTS", keys.LANES, lane))
        ]
        there = await at_once(store, reads)
        for lane, stream, listed in zip(lanes, there[::2], there[1::2], strict=True):
            if stream and not listed:
                found.append(f"lane {lane} is not listed")
    found += await _order(store, "every worker", keys.READY, scores)
    held, faults = await limit_invariants.survey(store, scores)
    found += faults
    if held is not None:
        found += await _policies(store, scores, held)
    return entries, found


async def _lanes(store: Store, page: Collection[str]) -> tuple[int, dict[str, float], Found]:
    """Entries, scores of the lanes in which jobs wait, and differences."""
    reads: list[tuple[Any, ...]] = []
    for lane in page:
        stream = keys.lane(lane, "")
        reads += [("HGET", keys.LANES, lane), ("XLEN", stream), ("XINFO", "GROUPS", stream)]
    replies = await at_once(store, reads)
    found: Found = []
    entries = 0
    heads: list[tuple[str, str]] = []
    for at, lane in enumerate(page):
        waiting, length, groups = replies[at * 3 : at * 3 + 3]
        if waiting is None:
            continue
        if not length or isinstance(groups, Exception) or len(groups) != 1:
            found.append(f"lane {lane} is listed, and has no entry or not one group")
            continue
        group = fields(groups[0])
        entries += length
        undelivered = length - int(group["pending"])
        if undelivered != int(waiting):
            found.append(f"in lane {lane} {undelivered} jobs wait, and {waiting} are counted")
        if undelivered:
            heads.append((lane, group["last-delivered-id"]))
    scores, faults = await _scores(store, heads)
    return entries, scores, found + faults


async def _scores(store: Store, heads: list[tuple[str, str]]) -> tuple[dict[str, float], Found]:
    """Where each lane belongs in the order of claims, by the head that waits in it."""
    reads = [("XRANGE", keys.lane(lane, ""), f"({last}", "+", "COUNT", 1) for lane, last in heads]
    firsts = await store.commands(*reads) if reads else []
    scores: dict[str, float] = {}
    found: Found = []
    for (lane, _), reply in zip(heads, firsts, strict=True):
        if not reply:
            found.append(f"jobs wait in lane {lane} before what was delivered last")
            continue
        entry, flat = reply[0]
        since = entry.partition("-")[0]
        if not lane.endswith("+w"):
            field = "created_at" if lane.endswith("+r") else "waiting_since"
            since = await store.command("HGET", keys.job(fields(flat)["job"]), field)
        if since is None:
            found.append(f"the head of lane {lane} does not say since when it waits")
        else:
            scores[lane] = (1000 - int(lane.partition("|")[0])) * BAND + int(since)
    return scores, found


async def _order(store: Store, whose: str, key: str, expected: Mapping[str, float]) -> Found:
    stored: dict[str, float] = {}
    async for page in zset_pages(store, key):
        stored |= page
    return [
        f"lane {lane} stands at {stored.get(lane)} for {whose}, and belongs at {expected.get(lane)}"
        for lane in sorted(stored.keys() | expected.keys())
        if stored.get(lane) != expected.get(lane)
    ]


async def _policies(store: Store, scores: Mapping[str, float], held: Held) -> Found:
    """Each policy has exactly its lanes; one that is still being registered has them only in part."""
    texts = fields(await store.command("HGETALL", keys.POLICIES))
    found: Found = []
    for policy, text in texts.items():
        if text.startswith("+"):
            admitted = {lane: score for lane, score in scores.items() if admits(text[1:], lane)}
            orders, aside = limit_invariants.policy_views(held, policy, admitted)
            for key, expected in orders.items():
                found += await _order(store, f"policy {policy}", key, expected)
            stored = set(await store.command("ZRANGE", keys.parked(policy), 0, -1))
            found += [
                f"policy {policy} has {each} set aside, or lacks it" for each in sorted(stored ^ aside)
            ]
            found += limit_invariants.held_up(held, policy, admitted)
        if await store.command("LLEN", keys.bell(policy)) > 1:
            found.append(f"the bell of policy {policy} holds more than one token")
    used = await store.command("ZRANGE", keys.POLICIES_USED, 0, -1)
    if set(used) != set(texts):
        found.append("policies and the times of their last use differ")
    for prefix in (keys.ready(""), keys.bell(""), keys.parked("")):
        async for names in key_pages(store, f"{prefix}*"):
            strays = {name.removeprefix(prefix).partition(":")[0] for name in names} - texts.keys()
            found += [f"{prefix}{policy} belongs to no known policy" for policy in sorted(strays)]
    return found


def admits(policy: str, lane: str) -> bool:
    """Whether a policy may read a lane, both as they are stored."""
    types, repositories, able = (None if part == "*" else part.split(",") for part in policy.split("|"))
    _, kind, repository, needed, _ = lane.split("|")
    return (
        (types is None or kind in types)
        and (repositories is None or (repository != "" and repository in repositories))
        and (able is None or set(needed.split(",")) <= {*able, ""})
    )
