"""pause_some: one type, repository, capability or worker is paused; the rest goes on (P-12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sluicegate import keys
from sluicegate.errors import BadRequest, Conflict
from sluicegate.limits import Limits
from sluicegate.model import Job, NarrowPause, Pauses, PauseScope, Policy
from sluicegate.store import audit, cancellation, endings, limits, narrow_pauses, pause, sweeping
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339
from tests.support.contents import changed, contents
from tests.support.job_builder import HOUR_MS, JobBuilder, Made, now_ms, past

REPO = "github.com/acme/a"
GPU = Policy(capabilities=("gpu",))
COVERED: dict[PauseScope, tuple[str, dict[str, Any]]] = {
    "type": ("held", {"type": "held"}),
    "repository": (REPO, {"repository": REPO}),
    "capability": ("gpu", {"capabilities": ("git", "gpu")}),
}
"""A value of each scope that is about jobs, and what makes a job one of its jobs."""
ABLE = Policy(capabilities=("git", "gpu"))


async def paused(store: Store, scope: PauseScope, value: str, **rest: Any) -> NarrowPause:
    described = {"mode": "drain", "reason": "repair", "actor": "ann"} | rest
    return await narrow_pauses.change(store, scope=scope, value=value, action="pause", **described)


async def lifted(store: Store, scope: PauseScope, value: str, **rest: Any) -> NarrowPause:
    return await narrow_pauses.change(
        store, scope=scope, value=value, action="resume", **({"actor": "bob"} | rest)
    )


async def refused(store: Store, call: Callable[[], Awaitable[Any]]) -> Conflict:
    """The conflict that the call ends in; nothing was written."""
    before = await contents(store)
    with pytest.raises(Conflict) as conflict:
        await call()
    assert await contents(store) == before
    return conflict.value


async def ids(builder: JobBuilder, policy: Policy = ABLE, *, limit: int = 100, **rest: Any) -> list[str]:
    return [job.id for job in await builder.claim(policy, limit=limit, **rest)]


async def done(builder: JobBuilder, job_id: str, token: int = 1) -> None:
    await builder.ended(Made(job_id, token), endings.Complete(job_id, token))


async def bells(store: Store, *policies: Policy) -> list[int]:
    return [await store.command("LLEN", keys.bell(policy.id)) for policy in policies]


async def test_a_new_store_has_none(store: Store) -> None:
    assert await narrow_pauses.read(store) == Pauses(items=[], version=0)


async def test_a_pause_is_recorded(store: Store, builder: JobBuilder) -> None:
    """P-2, P-3, P-12: the record, the audit, the push and what claims look at, in one step."""
    before = await contents(store)
    found = await paused(store, "repository", REPO, mode="quiesce")
    after = await contents(store)
    assert changed(before, after) == {"pauses", "meta", "audit", "control", "counters", "events"}
    assert found == NarrowPause(
        scope="repository", value=REPO, mode="quiesce", reason="repair", requested_by_user_id="ann",
        requested_at=found.updated_at, updated_at=found.updated_at, version=1,
    )  # fmt: skip
    assert await narrow_pauses.read(store) == Pauses(items=[found], version=1)
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.mode, entry.reason, entry.actor_user_id, entry.target) == (
        "worker_pause", "pause", "quiesce", "repair", "ann", f"repository:{REPO}",
    )  # fmt: skip
    (pushed,) = after["control"]["entries"].values()
    assert (pushed["kind"], pushed["name"]) == ("narrow_pause", f"repository={REPO}")
    assert pushed["record"] == after["pauses"][pushed["name"]]
    assert after["counters"]["narrow_pause:pause:repository"] == "1"
    assert not (await pause.read(store)).workers_paused


async def test_a_resume_leaves_nothing_but_the_version(store: Store, builder: JobBuilder) -> None:
    """P-3: it is audited, and needs no drained state."""
    await builder.running(type="held")
    before = await contents(store)
    await paused(store, "type", "held")
    found = await lifted(store, "type", "held", reason="done")
    after = await contents(store)
    assert found == NarrowPause(scope="type", value="held", mode=None, version=2)
    assert await narrow_pauses.read(store) == Pauses(items=[], version=2)
    assert changed(before, after) == {"meta", "audit", "control", "counters", "events"}
    assert "pauses" not in after["meta"]
    entry = (await audit.page(store))[0][0]
    assert (entry.action, entry.mode, entry.reason, entry.actor_user_id, entry.target, entry.forced) == (
        "resume", None, "done", "bob", "type:held", False,
    )  # fmt: skip


@pytest.mark.parametrize("scope", COVERED)
async def test_none_is_claimed_while_paused_and_all_are_afterwards(
    store: Store, builder: JobBuilder, scope: PauseScope
) -> None:
    """P-12: what waited before, what came meanwhile, and what came back; in order, nobody else behind it."""
    value, described = COVERED[scope]
    returned = await builder.opened((await builder.waiting(**described)).job_id, ABLE, worker="worker-1")
    first = [await builder.waiting(**described, priority=priority) for priority in (0, 5)]
    assert await ids(builder, limit=0) == []
    await paused(store, scope, value)
    later = await builder.waiting(**described)
    await builder.ended(returned, endings.Release(returned.job_id, returned.token))
    free = await builder.waiting(type="other", priority=-5)
    assert await ids(builder) == [free.job_id]
    assert await ids(builder) == []
    await store.command("DEL", keys.bell(ABLE.id))
    await lifted(store, scope, value)
    assert await bells(store, ABLE) == [1]
    assert await ids(builder) == [first[1].job_id, returned.job_id, first[0].job_id, later.job_id]


async def test_a_paused_worker_gets_nothing_and_others_do(store: Store, builder: JobBuilder) -> None:
    """P-12: the bell that it heard rings on; a repeated request still gets its earlier answer."""
    before = await builder.waiting()
    assert await ids(builder, worker="w|ä %=1", request_id="r1") == [before.job_id]
    await paused(store, "worker", "w|ä %=1")
    made = await builder.waiting()
    await store.command("DEL", keys.bell(ABLE.id))
    assert await ids(builder, worker="w|ä %=1") == []
    assert await bells(store, ABLE) == [1]
    assert await ids(builder, worker="w|ä %=1", request_id="r1") == [before.job_id]
    assert await ids(builder, worker="w") == [made.job_id]
    await lifted(store, "worker", "w|ä %=1")
    again = await builder.waiting()
    assert await ids(builder, worker="w|ä %=1") == [again.job_id]


async def test_a_paused_workers_claim_says_so(store: Store, builder: JobBuilder) -> None:
    """Also one whose policy nobody knows yet: it is not registered for nothing."""
    found = await paused(store, "worker", "w1", mode="quiesce")
    reply = await store.run("claim", worker="w1", policy="p", lease_ms=1000, limit=1, request="r")
    assert reply[0] == "WORKER_PAUSED"
    assert reply[2:] == ["worker=w1", await store.command("HGET", keys.PAUSES, "worker=w1")]
    assert found.mode == "quiesce"
    assert not await store.command("EXISTS", keys.POLICIES, keys.bell("p"))


async def test_pausing_again_updates(store: Store) -> None:
    """P-2, P-12: since when stays; each has a version of its own, and no version comes twice."""
    first = await paused(store, "type", "held")
    other = await paused(store, "type", "another")
    await past(store, await now_ms(store))
    second = await paused(store, "type", "held", mode="quiesce", actor="bob")
    assert (second.requested_at, second.requested_by_user_id, second.mode) == (
        first.requested_at, "bob", "quiesce",
    )  # fmt: skip
    gone = await lifted(store, "type", "held")
    again = await paused(store, "type", "held")
    assert [each.version for each in (first, other, second, gone, again)] == [1, 2, 3, 4, 5]
    assert again.requested_at != first.requested_at
    assert (await narrow_pauses.read(store)).items == [other, again]


async def test_what_would_change_nothing_is_refused(store: Store) -> None:
    assert (await refused(store, lambda: lifted(store, "type", "held"))).code == "pause_unchanged"
    await paused(store, "type", "held")
    same = await refused(store, lambda: paused(store, "type", "held", actor="bob"))
    assert same.code == "pause_unchanged"
    for other in (lambda: lifted(store, "type", "other"), lambda: lifted(store, "repository", "held")):
        assert (await refused(store, other)).code == "pause_unchanged"


async def test_a_stale_version_is_refused(store: Store) -> None:
    """0 is the version of one that is not in force, whatever went before."""
    assert (await paused(store, "type", "held", expected_version=0)).version == 1
    for version in (0, 2):
        conflict = await refused(store, lambda: lifted(store, "type", "held", expected_version=version))  # noqa: B023
        assert (conflict.code, conflict.extra) == ("version_conflict", {"version": 1})
    await lifted(store, "type", "held", expected_version=1)
    conflict = await refused(store, lambda: paused(store, "type", "held", expected_version=2))
    assert conflict.extra == {"version": 0}
    assert (await paused(store, "type", "held", expected_version=0)).version == 3


async def test_concurrent_changes_come_one_after_another(store: Store) -> None:
    results = await asyncio.gather(
        *(paused(store, "type", "held", reason=f"reason {at}", expected_version=0) for at in range(10)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 9 + ["NarrowPause"]


async def test_until(store: Store) -> None:
    """P-13, 70-47: moving only the time is a change; one that has passed is refused."""
    ends = await now_ms(store) + HOUR_MS
    first = await paused(store, "type", "held", until_ms=ends)
    assert first.until == to_rfc3339(ends)
    assert (await refused(store, lambda: paused(store, "type", "held", until_ms=ends))).code == (
        "pause_unchanged"
    )
    assert (await paused(store, "type", "held", until_ms=ends + 1)).until == to_rfc3339(ends + 1)
    assert (await paused(store, "type", "held")).until is None
    before = await contents(store)
    for passed in (0, await now_ms(store)):
        with pytest.raises(BadRequest):
            await paused(store, "type", "held", until_ms=passed)
    assert await contents(store) == before


async def test_a_hundred_are_in_force_at_most(store: Store) -> None:
    """Bounded: every script reads their names. What is in force may change; what is lifted makes room."""
    for at in range(99):
        await paused(store, "worker", f"w{at}")
    await paused(store, "type", "t")
    conflict = await refused(store, lambda: paused(store, "type", "u"))
    assert (conflict.code, conflict.status) == ("too_many_pauses", 409)
    await paused(store, "worker", "w5", reason="another")
    await lifted(store, "worker", "w7")
    await paused(store, "type", "u")


async def test_several_hold_the_same_job(store: Store, builder: JobBuilder) -> None:
    """P-12: it goes on when the last one is lifted, in whatever order."""
    made = await builder.waiting(type="held", repository=REPO, capabilities=("gpu",))
    for scope, (value, _) in COVERED.items():
        await paused(store, scope, value)
    assert await ids(builder) == []
    for scope in ("repository", "type"):
        await lifted(store, scope, COVERED[scope][0])
        assert await ids(builder) == []
    await lifted(store, "capability", "gpu")
    assert await ids(builder) == [made.job_id]


async def limited(store: Store, **numbers: int) -> None:
    await store.run("set_limits", text=Limits(numbers).text, by="test")
    await limits.apply(store)


@pytest.mark.parametrize("scope", COVERED)
@pytest.mark.parametrize("first", ["limited", "paused"])
async def test_a_limited_type_is_paused(
    store: Store, builder: JobBuilder, scope: PauseScope, first: str
) -> None:
    """Q-18, P-12: whichever came first, and whether the limit goes before the pause does."""
    value, described = COVERED[scope]
    described = {"type": "held"} | described
    kind = described["type"]
    made = [await builder.waiting(**described, priority=priority) for priority in (0, 1, 2)]
    if first == "limited":
        await limited(store, **{f"type={kind}": 1})
        await paused(store, scope, value)
    else:
        await paused(store, scope, value)
        assert await ids(builder) == []
        await limited(store, **{f"type={kind}": 1})
    assert await ids(builder) == []
    await store.command("DEL", keys.bell(ABLE.id))
    await lifted(store, scope, value)
    assert await bells(store, ABLE) == [1]
    assert await ids(builder) == [made[2].job_id]
    assert await ids(builder) == []
    await paused(store, scope, value)
    await limited(store)
    assert await ids(builder) == []
    await lifted(store, scope, value)
    assert await ids(builder) == [made[1].job_id, made[0].job_id]


async def test_the_slot_of_a_paused_lane_goes_to_the_next(store: Store, builder: JobBuilder) -> None:
    """Q-18, P-12: the lane that was first for the slot is paused; who comes after it does not wait."""
    await limited(store, **{"repo=*": 1})
    running = await builder.running(type="first", repository=REPO)
    held = await builder.waiting(type="held", repository=REPO, priority=9)
    next_one = await builder.waiting(type="next", repository=REPO)
    assert await ids(builder) == []
    await paused(store, "type", "held")
    await done(builder, running.job_id)
    assert await ids(builder) == [next_one.job_id]
    await lifted(store, "type", "held")
    assert await ids(builder) == []
    await done(builder, next_one.job_id)
    assert await ids(builder) == [held.job_id]


async def test_an_affinity_key_and_a_pause(store: Store, builder: JobBuilder) -> None:
    running = await builder.running(affinity_key="k")
    held = await builder.waiting(type="held", affinity_key="k", priority=9)
    other = await builder.waiting(type="other", affinity_key="k")
    await paused(store, "type", "held")
    assert await ids(builder) == []
    await done(builder, running.job_id)
    assert await ids(builder) == [other.job_id]
    await lifted(store, "type", "held")
    await done(builder, other.job_id)
    assert await ids(builder) == [held.job_id]


async def test_what_ends_while_its_type_is_paused_comes_back(store: Store, builder: JobBuilder) -> None:
    """P-12: failure, release, expiry and due time go on; what they bring back waits for the resume."""
    failed = await builder.running(type="held", worker="w1")
    stale = await builder.stale(type="held", worker="w2")
    due = await builder.delayed(delay_ms=1, type="held")
    await builder.until_due(due)
    await paused(store, "type", "held")
    await builder.ended(failed, endings.Release(failed.job_id, failed.token))
    assert await sweeping.expire_leases(store) == 1
    await builder.until_due(stale)
    assert await sweeping.promote_due(store) == 2
    assert await ids(builder) == []
    await lifted(store, "type", "held")
    assert set(await ids(builder)) == {failed.job_id, stale.job_id, due.job_id}


async def test_a_cancelled_job_of_a_paused_type_ends(store: Store, builder: JobBuilder) -> None:
    """C-1: and the one behind it is what the resume gives back."""
    first, second = [await builder.waiting(type="held") for _ in range(2)]
    await builder.claim(limit=0)
    await paused(store, "type", "held")
    assert await ids(builder) == []
    await cancellation.cancel(store, first.job_id, actor="ann")
    await lifted(store, "type", "held")
    assert await ids(builder) == [second.job_id]


async def test_a_new_policy_sees_no_paused_lane(store: Store, builder: JobBuilder) -> None:
    """Q-3: registered while lanes are set aside, and before any claim has met them."""
    met = await builder.waiting(type="held", capabilities=("gpu",))
    await paused(store, "type", "held")
    assert await ids(builder) == []
    unmet = await builder.waiting(type="held", priority=1)
    assert await ids(builder, GPU) == []
    await lifted(store, "type", "held")
    assert await ids(builder, GPU) == [unmet.job_id, met.job_id]


async def test_ten_claims_at_once_open_nothing_that_is_paused(store: Store, builder: JobBuilder) -> None:
    """P-12: exact, as the pause of all workers: from the call's return on."""
    await builder.enqueued(*(builder.submission(type="held") for _ in range(60)))
    free = await builder.enqueued(*(builder.submission(type="free", priority=-1) for _ in range(10)))

    async def claiming(at: int) -> list[Job]:
        return [job for _ in range(4) for job in await builder.claim(worker=f"w{at}", limit=2)]

    opened = asyncio.gather(*(claiming(at) for at in range(10)))
    await paused(store, "type", "held")
    began = set(await store.command("ZRANGE", keys.LEASES, 0, -1))
    found = {job.id for jobs in await opened for job in jobs}
    assert found - set(free) <= began
    assert set(await ids(builder)) | found >= set(free)
