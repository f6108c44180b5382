"""Says where running jobs, the slots they hold, and the lanes that limits hold back disagree (Q-18)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sluicegate import keys
from sluicegate.limits import Limits
from sluicegate.store.connection import Store
from sluicegate.store.pages import zset_pages
from sluicegate.store.rendering import fields

Found = list[str]


class Parked(NamedTuple):
    """A lane that a limit holds back: by which, on which shelf, at which place in the order of claims."""

    limit: str
    shelf: str
    score: float
    lane: str

    @classmethod
    def read(cls, member: str) -> Parked:
        limit, shelf, score, lane = member.split("|", 3)
        return cls(limit, shelf, float(score), lane)


class Held(NamedTuple):
    """limits: in force. running: jobs by name of limit. parked: by lane. None of it while limits change."""

    limits: Limits
    running: Mapping[str, int]
    parked: Mapping[str, Parked]

    def has_room(self, limit: str, lane: str) -> bool:
        return any(
            self.running.get(name, 0) < most for name, most in self.limits.of(lane[:-2]) if name == limit
        )


async def survey(store: Store, scores: Mapping[str, float]) -> tuple[Held | None, Found]:
    """What limits hold back, and the differences. scores: the lanes in which jobs wait."""
    meta = fields(await store.command("HGETALL", keys.META))
    if "limits_at" in meta:
        return None, []
    limits = Limits.of_text(meta.get("limits", ""))
    running, found = await _slots(store, limits)
    found += await _without_slot(store, limits)
    parked: dict[str, Parked] = {}
    async for page in zset_pages(store, keys.PARKED):
        for member in page:
            each = Parked.read(member)
            if each.lane in parked:
                found.append(f"lane {each.lane} is set aside twice")
            parked[each.lane] = each
    found += [
        f"lane {lane} is set aside by {each.limit}, which is not its limit, or at another place than its own"
        for lane, each in parked.items()
        if scores.get(lane) != each.score
        or each.shelf != limits.shelf(lane[:-2])
        or each.limit not in {limit.name for limit in limits.of(lane[:-2])}
    ]
    return Held(limits, running, parked), found


def policy_views(
    held: Held, policy: str, scores: Mapping[str, float]
) -> tuple[dict[str, dict[str, float]], set[str]]:
    """Where a policy finds lanes: by key, lane -> score; and what it has of those set aside.

    scores: the lanes that it may read.
    """
    orders: dict[str, dict[str, float]] = {keys.ready(policy): {}}
    orders |= {
        keys.ready(policy, name.removeprefix("type=")): {}
        for name in held.limits.numbers
        if name.startswith("type=")
    }
    aside: set[str] = set()
    for lane, score in scores.items():
        shelf = held.limits.shelf(lane[:-2])
        if parked := held.parked.get(lane):
            aside.add(f"{parked.limit}|{parked.shelf}|{int(parked.score):016d}|{lane}")
        else:
            orders[keys.ready(policy, shelf)][lane] = score
    return orders, aside


def held_up(held: Held, policy: str, scores: Mapping[str, float]) -> Found:
    """Lanes that wait for a limit which has room, with none that is due before them in sight of claims."""
    first: dict[tuple[str, str], float] = {}
    for lane, score in scores.items():
        if lane not in held.parked:
            for limit in held.limits.of(lane[:-2]):
                place = (limit.name, held.limits.shelf(lane[:-2]))
                first[place] = min(score, first.get(place, score))
    return [
        f"lane {lane} waits for {each.limit}, which has room for policy {policy}"
        for lane, each in held.parked.items()
        if lane in scores
        and held.has_room(each.limit, lane)
        and first.get((each.limit, each.shelf), float("inf")) > each.score
    ]


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
