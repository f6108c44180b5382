"""What a waiting job waits for, as the store has it: read for `why`, decided elsewhere (Q-19)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from sluicegate import keys
from sluicegate.errors import Invalid
from sluicegate.limits import Limit, Limits
from sluicegate.model import Job, Lane, NarrowPause, Policy, SystemState
from sluicegate.repositories import canonical
from sluicegate.settings import Settings
from sluicegate.store import narrow_pauses, pause
from sluicegate.store.connection import Store
from sluicegate.store.rendering import fields
from sluicegate.store.workers import LIVE_SECONDS, Presence

MOST_COUNTED: Final = 1000
"""A job that waits further behind is not counted to."""
MOST_NAMED: Final = 20
"""Jobs that are named as holding a limit."""
CLASSES: Final = ("+r", "+s", "+w")
"""The streams of a lane, in the order in which their jobs go."""


class Usage(Struct, frozen=True):
    """running: how many jobs hold a slot of the limit. held_by: the first of them."""

    limit: Limit
    running: int
    held_by: list[str]


class Place(Struct, frozen=True):
    """ahead: jobs of its lane that go first; None: more than are counted. waiting: all of them."""

    ahead: int | None
    waiting: int


class LiveWorker(Struct, frozen=True):
    """A worker that takes jobs and was heard of a moment ago; which jobs is its policy.

    under_way: how many of the jobs that it told of run on, the others wait at a checkpoint.
    """

    worker_id: str
    policy: Policy
    under_way: int = 0


class Standing(Struct, frozen=True, kw_only=True):
    """place: None while the job is delayed. due_ms: None unless it is. pauses: the narrower ones in force."""

    lane: Lane
    now_ms: int
    system: SystemState
    workers: list[LiveWorker]
    limits: list[Usage]
    due_ms: int | None
    place: Place | None
    pauses: list[NarrowPause] = []


async def read(store: Store, job: Job) -> Standing:
    """Of one job that waits; the store may move on while it reads."""
    lane, entry, due = await store.command("HMGET", keys.job(job.id), "lane", "entry", "next_attempt_at")
    lane = lane or Lane(type=job.type).text  # gone meanwhile
    return Standing(
        lane=Lane.parse(lane),
        now_ms=await store.now_ms(),
        system=await pause.read(store),
        workers=await live_workers(store),
        limits=await _usages(store, lane),
        due_ms=int(due) if due else None,
        place=await _place(store, lane, entry) if entry and not due else None,
        pauses=(await narrow_pauses.read(store)).items,
    )


async def live_workers(store: Store) -> list[LiveWorker]:
    """Announced, or heard of by their claims; without those that are about to stop."""
    oldest = await store.now_ms() - LIVE_SECONDS * 1000
    names = await store.command("ZRANGEBYSCORE", keys.WORKERS, oldest, "+inf")
    if not names:
        return []
    announced, heard = await store.commands(
        ("MGET", *map(keys.worker, names)), ("MGET", *map(keys.heard, names))
    )
    found = [
        _worker(store.settings, name, presence, policy)
        for name, presence, policy in zip(names, announced, heard, strict=True)
    ]
    return [worker for worker in found if worker]


def _worker(settings: Settings, name: str, announced: str | None, heard: str | None) -> LiveWorker | None:
    """What it claimed by says more than what it announced: its token may allow less."""
    presence = msgspec.json.decode(announced, type=Presence) if announced else None
    if presence is not None and presence.state == "stopping":
        return None
    under_way = 0 if presence is None else len(presence.jobs) - len(presence.paused_jobs)
    if heard:
        return LiveWorker(name, msgspec.json.decode(heard, type=Policy), under_way)
    if presence is None:
        return None
    types = None if presence.types is None else tuple(presence.types)
    policy = Policy(types, _canonical(presence.repositories, settings), tuple(presence.capabilities))
    return LiveWorker(name, policy, under_way)


def _canonical(named: Sequence[str] | None, settings: Settings) -> tuple[str, ...] | None:
    """As the worker's claims name them; what is no repository here is none that a job has."""
    if named is None:
        return None
    found = []
    for each in named:
        with contextlib.suppress(Invalid):
            found.append(canonical(each, settings))
    return tuple(found)


async def _usages(store: Store, lane: str) -> list[Usage]:
    limits = Limits.of_text(await store.command("HGET", keys.META, "limits") or "").of(lane)
    usages = []
    for limit in limits:
        first, last = f"[{limit.name}|", f"({limit.name}|~"
        running, slots = await store.commands(
            ("ZLEXCOUNT", keys.SLOTS, first, last),
            ("ZRANGEBYLEX", keys.SLOTS, first, last, "LIMIT", 0, MOST_NAMED),
        )
        usages.append(Usage(limit, running, [slot.rpartition("|")[2] for slot in slots]))
    return usages


async def _place(store: Store, lane: str, entry: str) -> Place | None:
    counts = await store.command("HMGET", keys.LANES, *(lane + kind for kind in CLASSES))
    waiting = [int(count or 0) for count in counts]
    kind, own = entry[:2], entry[2:]
    stream = keys.lane(lane, kind)
    groups, *_ = await store.commands(("XINFO", "GROUPS", stream), keep_errors=True)
    if not isinstance(groups, Sequence) or len(groups) != 1:
        return None
    last = fields(groups[0])["last-delivered-id"]
    before = await store.command("XRANGE", stream, f"({last}", f"({own}", "COUNT", MOST_COUNTED + 1)
    ahead = len(before) + sum(waiting[: CLASSES.index(kind)])
    return Place(ahead if ahead <= MOST_COUNTED else None, max(sum(waiting), 1))
