"""claim: in which order, and for whom."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from sluicegate import keys
from sluicegate.model import Policy
from sluicegate.store import dead_letters, endings, sweeping
from sluicegate.store.connection import Store
from tests.support.contents import fields
from tests.support.job_builder import JobBuilder, now_ms, past


async def claimed(builder: JobBuilder, policy: Policy, limit: int = 100) -> list[str]:
    """The ids that a claim gets, in order."""
    return [job.id for job in await builder.claim(policy, limit=limit)]


async def spread(store: Store, builder: JobBuilder, *described: dict[str, Any]) -> list[str]:
    """Enqueue one after another, each in a millisecond of its own."""
    ids = []
    for each in described:
        made = await builder.waiting(**each)
        await past(store, int((await fields(store, made.job_id))["entry"][2:].partition("-")[0]))
        ids.append(made.job_id)
    return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_priority_then_age_across_lanes(store: Store, builder: JobBuilder, limit: int) -> None:
    """Q-12: highest priority first, then the longest waiting to the millisecond, whatever the batch."""
    described = [
        {"type": kind, "priority": priority}
        for kind, priority in zip("abcabcbbaacc", [0, 5, 0, 0, -3, 5, 0, 1000, -1000, 5, 0, 0], strict=True)
    ]
    ids = await spread(store, builder, *described)
    expected = [ids[at] for at in sorted(range(len(ids)), key=lambda at: (-described[at]["priority"], at))]
    found: list[str] = []
    while batch := await claimed(builder, Policy(), limit):
        assert len(batch) <= limit
        found += batch
    assert found == expected


async def test_runs_of_one_lane_come_out_together(store: Store, builder: JobBuilder) -> None:
    """Q-12: a batch takes from the best lane exactly what stands before the head of the next."""
    kinds = ["a"] * 4 + ["b"] * 3 + ["a"] * 2 + ["c"] + ["b"] * 2
    ids = await spread(store, builder, *({"type": kind} for kind in kinds))
    assert await claimed(builder, Policy(), 9) == ids[:9]
    assert await claimed(builder, Policy(), 9) == ids[9:]


async def test_jobs_of_one_millisecond_all_come_out(store: Store, builder: JobBuilder) -> None:
    """Q-12 orders to the millisecond: within it lanes may come in any order, each in its own."""
    submissions = [builder.submission(kind) for kind in itertools.islice(itertools.cycle("abc"), 60)]
    ids = await builder.enqueued(*submissions)
    found: list[str] = []
    while batch := await claimed(builder, Policy(), 7):
        found += batch
    assert sorted(found) == sorted(ids)
    for kind in "abc":
        own = [each.id for each in submissions if each.lane.type == kind]
        assert [job_id for job_id in found if job_id in own] == own


async def test_who_comes_back_goes_before_the_unstarted_of_the_lane(
    store: Store, builder: JobBuilder
) -> None:
    """Q-12: among themselves in order of return; their lane is scored by its head's createdAt."""
    ids = await spread(store, builder, *({"type": "work"} for _ in range(5)))
    assert await claimed(builder, Policy(), 3) == ids[:3]
    for at in (2, 0):
        await endings.finish_one(store, "worker-1", endings.Release(ids[at], 1))
    assert await claimed(builder, Policy()) == [ids[2], ids[0], ids[3], ids[4]]


async def test_the_lane_of_those_who_came_back_is_as_old_as_its_head(
    store: Store, builder: JobBuilder
) -> None:
    """Q-12: between lanes its head's createdAt counts: older jobs of other lanes still go first."""
    old, young, between = await spread(store, builder, {"type": "other"}, {"type": "work"}, {"type": "third"})
    await claimed(builder, Policy(types=("work",)))
    await endings.finish_one(store, "worker-1", endings.Release(young, 1))
    assert await claimed(builder, Policy()) == [old, young, between]


async def test_a_delayed_job_counts_from_when_it_became_due(store: Store, builder: JobBuilder) -> None:
    """Q-12: not from its enqueue, nor from whenever somebody promoted it."""
    late = await builder.delayed(delay_ms=150)
    first = await builder.waiting()
    await builder.until_due(late)
    second = await builder.waiting()
    assert await sweeping.promote_due(store) == 1
    assert await claimed(builder, Policy()) == [first.job_id, late.job_id, second.job_id]


async def test_delayed_jobs_come_in_order_of_their_times(store: Store, builder: JobBuilder) -> None:
    """Q-12: not in order of their enqueues."""
    base = await now_ms(store) + 1000
    made = [await builder.waiting(due_ms=base + offset) for offset in (8, 0, 4)]
    await past(store, base + 8)
    assert await claimed(builder, Policy()) == [made[at].job_id for at in (1, 2, 0)]


async def test_a_redriven_job_counts_from_the_redrive(store: Store, builder: JobBuilder) -> None:
    """Q-12: it waits behind what was enqueued before the redrive."""
    dead = await builder.dead_letter()
    before = await builder.waiting()
    await past(store, int(await store.command("HGET", keys.job(before.job_id), "created_at")))
    assert await dead_letters.redrive(store, [dead.job_id], actor="ann") == [True]
    await past(store, int(await store.command("HGET", keys.job(dead.job_id), "updated_at")))
    after = await builder.waiting()
    assert await claimed(builder, Policy()) == [before.job_id, dead.job_id, after.job_id]


POLICIES = [
    (Policy(), "none repo other git both", "null restricts nothing but capabilities"),
    (Policy(types=()), "", "an empty list of types is nothing"),
    (Policy(repositories=()), "", "an empty list of repositories is nothing"),
    (Policy(types=("work",)), "none repo git both", "a type"),
    (Policy(types=("work", "play")), "none repo other git both", "two types"),
    (Policy(types=("wor",)), "", "part of a type is no type"),
    (Policy(repositories=("host/a/b",)), "repo", "no repository is not in any list"),
    (Policy(repositories=("host/a/b", "host/x,y/z")), "repo other", "a comma is part of a name"),
    (Policy(repositories=("host/a",)), "", "part of a repository is no repository"),
    (Policy(repositories=("host/a/b", "host/x,y/z"), types=("play",)), "other", "both must fit"),
]


@pytest.mark.parametrize(("policy", "expected", "_why"), POLICIES, ids=[each[2] for each in POLICIES])
async def test_a_policy_decides_what_a_claim_returns(
    builder: JobBuilder, policy: Policy, expected: str, _why: str
) -> None:
    """Q-3, Q-4: types, repositories, capabilities; what is not theirs waits and holds up nobody."""
    made = {
        "none": await builder.waiting(),
        "repo": await builder.waiting(repository="host/a/b"),
        "other": await builder.waiting(type="play", repository="host/x,y/z"),
        "git": await builder.waiting(capabilities=("git",)),
        "both": await builder.waiting(capabilities=("git", "a|b,c")),
    }
    able = {"git": {"git"}, "both": {"git", "a|b,c"}}
    left = set(expected.split())
    for capabilities in ((), ("git",), ("a|b,c", "git", "more")):
        found = await claimed(builder, Policy(policy.types, policy.repositories, capabilities))
        wanted = {name for name in left if able.get(name, set()) <= set(capabilities)}
        assert {name for name, each in made.items() if each.job_id in found} == wanted
        left -= wanted
    assert left == set()


async def test_an_ineligible_job_holds_up_nobody(store: Store, builder: JobBuilder) -> None:
    """Q-4: it stays queued, whatever its priority, and those behind it go on."""
    stuck = await builder.waiting(priority=1000, capabilities=("gpu",))
    behind = [await builder.waiting() for _ in range(3)]
    assert await claimed(builder, Policy()) == [each.job_id for each in behind]
    assert await claimed(builder, Policy(capabilities=("gpu",))) == [stuck.job_id]


async def test_a_thousand_lanes_are_ready_for_a_new_policy(store: Store, builder: JobBuilder) -> None:
    """Q-3, Q-12: a policy registered over more lanes than one slice finds each of them, in order."""
    submissions = [
        builder.submission(priority=at % 5, repository=f"host/a/{at}", type=f"t{at % 2}")
        for at in range(1300)
    ]
    ids = await builder.enqueued(*submissions)
    wanted = {each.id for each in submissions if each.lane.type == "t1"}
    found: list[str] = []
    while batch := await claimed(builder, Policy(types=("t1",))):
        found += batch
    assert len(found) == len(wanted)
    assert set(found) == wanted
    priority = {job_id: each.lane.priority for job_id, each in zip(ids, submissions, strict=True)}
    assert [priority[job_id] for job_id in found] == sorted((priority[each] for each in found), reverse=True)
