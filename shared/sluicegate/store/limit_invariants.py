"""Says where running jobs, the slots they hold, and the lanes that are set aside disagree (Q-18, P-12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sluicegate import keys
from sluicegate.limits import Limits
from sluicegate.pauses import Marks, names_of
from sluicegate.store.connection import Store
from sluicegate.store.pages import zset_pages
from sluicegate.store.rendering import fields

Found = list[str]


class Parked(NamedTuple):
    """A lane set aside: by which limit or pause, on which shelf, at which place in the order of claims."""

    holder: str
    shelf: str
    score: float
    lane: str

    @classmethod
    def read(cls, member: str) -> Parked:
        holder, shelf, score, lane = member.split("|", 3)
        return cls(holder, shelf, float(score), lane)


class Held(NamedTuple):
    """limits, pauses: in force. running: jobs by name of limit. parked: by lane."""

    limits: Limits
    pauses: Marks
    running: Mapping[str, int]
    parked: Mapping[str, Parked]

    def is_rightly(self, each: Parked) -> bool:
        lane = each.lane[:-2]
        names = {limit.name for limit in self.limits.of(lane) if not limit.name.startswith("type=")}
        names |= {
            f"paused:{name}" for name in names_of(lane) if name in self.pauses.in_force | self.pauses.lifted
        }
        shelf = self.limits.shelf(lane)
        return each.holder in names - {f"paused:type={shelf}"} and each.shelf == shelf

    def has_room(self, each: Parked) -> bool:
        return any(
            limit.name == each.holder and self.running.get(limit.name, 0) < limit.most
            for limit in self.limits.of(each.lane[:-2])
        )


async def check(store: Store) -> Found:
    """The differences, one sentence each. What is only under way has gone at a second look."""
    first = await _survey(store)
    if not first:
        return []
    second = set(await _survey(store))
    return [difference for difference in first if difference in second]


async def _survey(store: Store) -> Found:
    meta = fields(await store.command("HGETALL", keys.META))
    if "limits_at" in meta:
        return []
    limits = Limits.of_text(meta.get("limits", ""))
    running, found = await _slots(store, limits)
    found += await _without_slot(store, limits)
    scores: dict[str, float] = {}
    async for ready in zset_pages(store, keys.READY):
        scores |= ready
    parked: dict[str, Parked] = {}
    async for members in zset_pages(store, keys.PARKED):
        for member in members:
            each = Parked.read(member)
            if each.lane in parked:
                found.append(f"lane {each.lane} is set aside twice")
            parked[each.lane] = each
    held = Held(limits, Marks.of_text(meta.get("pauses", "")), running, parked)
    found += [
        f"lane {lane} is set aside by {each.holder}, which does not hold it, or at another place than its own"
        for lane, each in parked.items()
        if scores.get(lane) != each.score or not held.is_rightly(each)
    ]
    for policy in await store.command("HKEYS", keys.POLICIES):
        found += await _policy(store, policy, held)
    return found


async def _policy(store: Store, policy: str, held: Held) -> Found:
    """What a policy has set aside, and what of it could run while claims see nothing before it."""
    found: Found = []
    aside: list[Parked] = []
    async for members in zset_pages(store, keys.parked(policy)):
        for each in map(Parked.read, members):
            if held.parked.get(each.lane) == each:
                aside.append(each)
            else:
                found.append(f"policy {policy} has lane {each.lane} set aside, which is not")
    seen = await _first_seen(store, policy, held)
    return found + [
        f"lane {each.lane} waits for {each.holder}, which has room for policy {policy}"
        for each in aside
        if held.has_room(each) and seen.get((each.holder, each.shelf), float("inf")) > each.score
    ]


async def _first_seen(store: Store, policy: str, held: Held) -> dict[tuple[str, str], float]:
    """By limit and shelf the place of the first lane that claims of a policy see."""
    shelves = [name.removeprefix("type=") for name in held.limits.numbers if name.startswith("type=")]
    first: dict[tuple[str, str], float] = {}
    for shelf in ("", *shelves):
        async for lanes in zset_pages(store, keys.ready(policy, shelf)):
            for lane, score in lanes.items():
                for limit in held.limits.of(lane[:-2]):
                    first[limit.name, shelf] = min(score, first.get((limit.name, shelf), score))
    return first


async def _slots(store: Store, limits: Limits) -> tuple[Counter[str], Found]:
    """Running jobs by limit; slots that belong to no running job of a lane under that limit."""
    running: Counter[str] = Counter()
    found: Found = []
    async for page in zset_pages(store, keys.SLOTS):
        slots = [member.rpartition("|") for member in page]
        jobs = await store.commands(*(("HMGET", keys.job(job), "status", "lane") for _, _, job in slots))
        for (name, _, job), (status, lane) in zip(slots, jobs, strict=True):
            running[name] += 1
            if status != "running" or not lane or name not in {limit.name for limit in limits.of(lane)}:
                found.append(f"a slot of {name} is taken by job {job}, which does not run under it")
    return running, found


async def _without_slot(store: Store, limits: Limits) -> Found:
    found: Found = []
    async for page in zset_pages(store, keys.LEASES):
        jobs = list(page)
        lanes = await store.commands(*(("HGET", keys.job(job), "lane") for job in jobs))
        names = [
            (job, limit.name)
            for job, lane in zip(jobs, lanes, strict=True)
            if lane
            for limit in limits.of(lane)
        ]
        reads: list[tuple[Any, ...]] = [("ZSCORE", keys.SLOTS, f"{name}|{job}") for job, name in names]
        scores = await store.commands(*reads) if reads else []
        found += [
            f"job {job} runs under {name} without a slot"
            for (job, name), score in zip(names, scores, strict=True)
            if score is None
        ]
    return found
