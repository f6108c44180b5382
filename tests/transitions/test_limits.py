"""Concurrency limits (Q-18): never one too many, whole lanes held back, nobody held up who is not limited."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from sluicegate import keys
from sluicegate.model import Job, Policy
from sluicegate.store import cancellation, dead_letters, endings, limit_invariants, limits, sweeping
from sluicegate.store.connection import Store
from tests.support.job_builder import JobBuilder, Made, now_ms, past

GPU = Policy(capabilities=("gpu",))
REPO = "github.com/acme/a"


async def limited(store: Store, *setting: str) -> None:
    """Claims work by this setting from now on."""
    store.settings = msgspec.structs.replace(store.settings, concurrency_limits=setting)
    await limits.declare(store, by="test")


async def ids(builder: JobBuilder, policy: Policy | None = None, *, limit: int = 100) -> list[str]:
    return [job.id for job in await builder.claim(policy, limit=limit)]


async def done(builder: JobBuilder, job_id: str, token: int = 1) -> None:
    await builder.ended(Made(job_id, token), endings.Complete(job_id, token))


async def slots(store: Store) -> set[str]:
    return set(await store.command("ZRANGE", keys.SLOTS, 0, -1))


@pytest.mark.parametrize(
    ("setting", "described"),
    [
        (("type=work:2",), {}),
        (("repo=acme/a:2",), {"repository": REPO}),
        (("repo=*:2",), {"repository": REPO}),
        (("repo=*:7", "repo=git@github.com:Acme/a:2"), {"repository": REPO}),
    ],
    ids=["type", "repository", "each repository", "the named repository before each"],
)
async def test_one_claim_takes_what_the_limit_allows(
    store: Store, builder: JobBuilder, setting: tuple[str, ...], described: dict[str, Any]
) -> None:
    """Q-18, 70-17, 70-43: of many jobs, in one lane or in many; the rest follows as slots are freed."""
    await limited(store, *setting)
    made = [(await builder.waiting(priority=-at % 3, **described)).job_id for at in range(6)]
    free = (await builder.waiting(type="other", repository="github.com/acme/b")).job_id
    order = sorted(made, key=lambda job_id: (-(-made.index(job_id) % 3), made.index(job_id)))
    assert await ids(builder) == [*order[:2], free]
    assert await ids(builder) == []
    for at in range(2, 6):
        await done(builder, order[at - 2])
        assert await ids(builder) == [order[at]]
        assert await ids(builder) == []


async def test_one_runs_with_an_affinity_key(store: Store, builder: JobBuilder) -> None:
    """Q-18, 70-43: whatever its type, repository and priority; without any setting."""
    one = await builder.waiting(affinity_key="k", priority=1)
    other = await builder.waiting(affinity_key="k", type="other", repository=REPO)
    free = await builder.waiting(affinity_key="k2")
    bare = await builder.waiting()
    assert set(await ids(builder)) == {one.job_id, free.job_id, bare.job_id}
    assert await slots(store) == {f"key=k|{one.job_id}", f"key=k2|{free.job_id}"}
    await done(builder, one.job_id)
    assert await ids(builder) == [other.job_id]
    assert await slots(store) == {f"key=k|{other.job_id}", f"key=k2|{free.job_id}"}


async def test_all_limits_of_a_job_hold(store: Store, builder: JobBuilder) -> None:
    """Q-18: a free slot of one is none of the others."""
    await limited(store, "type=a:2", "repo=*:1")
    first = await builder.waiting(type="a", repository=REPO, priority=2)
    same_repo = await builder.waiting(type="b", repository=REPO)
    second = await builder.waiting(type="a", affinity_key="k", priority=1)
    same_key = await builder.waiting(type="c", affinity_key="k")
    third = await builder.waiting(type="a", repository="github.com/acme/b")
    assert set(await ids(builder)) == {first.job_id, second.job_id}
    await done(builder, second.job_id)
    assert set(await ids(builder)) == {same_key.job_id, third.job_id}
    await done(builder, first.job_id)
    assert await ids(builder) == [same_repo.job_id]


async def complete(builder: JobBuilder, job: Made) -> None:
    await builder.ended(job, endings.Complete(job.job_id, job.token))


async def fail(builder: JobBuilder, job: Made) -> None:
    await builder.ended(job, endings.Fail(job.job_id, job.token, "broken", retryable=False))


async def retry(builder: JobBuilder, job: Made) -> None:
    await builder.ended(job, endings.Fail(job.job_id, job.token, "broken"))


async def release(builder: JobBuilder, job: Made) -> None:
    await builder.ended(job, endings.Release(job.job_id, job.token, "shutting down"))
    await cancellation.cancel(builder.store, job.job_id, actor="ann")


async def expire(builder: JobBuilder, job: Made) -> None:
    await builder.lease_over(job)
    assert await sweeping.expire_leases(builder.store) == 1


async def acknowledge(builder: JobBuilder, job: Made) -> None:
    await cancellation.cancel(builder.store, job.job_id, actor="ann")
    await cancellation.acknowledge(builder.store, job.job_id, worker_id=job.worker, lease_token=job.token)


async def cancel_stale(builder: JobBuilder, job: Made) -> None:
    await builder.lease_over(job)
    assert (await cancellation.cancel(builder.store, job.job_id, actor="ann")).status == "cancelled"


async def time_out(builder: JobBuilder, job: Made) -> None:
    ending = endings.Fail(job.job_id, job.token, "too long", retryable=False, failure_class="run_timeout")
    await builder.ended(job, ending)


@pytest.mark.parametrize("end", [complete, fail, retry, release, expire, acknowledge, cancel_stale, time_out])
async def test_whatever_ends_an_attempt_frees_its_slots(store: Store, builder: JobBuilder, end: Any) -> None:
    """Q-18: in the same step; and an idle worker of each policy is woken."""
    # The job that is to be tried again would come before the others, were it due by then.
    waits = {"retry_backoff_base_seconds": 60.0, "retry_backoff_cap_seconds": 60.0}
    store.settings = msgspec.structs.replace(store.settings, **waits)
    await limited(store, "type=work:1", "repo=*:1")
    assert await ids(builder) == [] == await ids(builder, GPU)
    first = await builder.running(repository=REPO, affinity_key="k", max_attempts=2)
    by_type = (await builder.waiting()).job_id
    by_repository = (await builder.waiting(type="b", repository=REPO)).job_id
    by_key = (await builder.waiting(type="c", affinity_key="k")).job_id
    assert await ids(builder) == [] == await ids(builder, GPU)
    bells = [keys.bell(policy.id) for policy in (builder.everything, GPU)]
    await store.command("DEL", *bells)
    await end(builder, first)
    assert await slots(store) == set()
    assert [await store.command("LLEN", bell) for bell in bells] == [1, 1]
    claimed = await ids(builder)
    assert set(claimed) >= {by_type, by_repository, by_key}


async def test_a_freed_slot_goes_to_who_is_next(store: Store, builder: JobBuilder) -> None:
    """Q-12, Q-18: priority, then the longest wait, among all lanes that the limit holds back."""
    await limited(store, "repo=*:1")
    running = await builder.running(repository=REPO)
    late, high, early, low = [
        await builder.waiting(type=kind, repository=REPO, priority=priority, due_ms=due)
        for kind, priority, due in (("a", 0, 3), ("b", 5, -1), ("c", 0, 2), ("d", -5, 1))
    ]
    assert await ids(builder) == []
    order = []
    last, token = running.job_id, running.token
    for _ in range(4):
        await done(builder, last, token)
        (last,) = await ids(builder)
        order.append(last)
    assert order[0] == high.job_id and order[3] == low.job_id
    assert set(order[1:3]) == {early.job_id, late.job_id}


async def test_each_policy_finds_its_own(store: Store, builder: JobBuilder) -> None:
    """Q-4, Q-18: who is next for one worker is not for another; a lane that nobody reads blocks nobody."""
    await limited(store, "repo=*:1")
    running = await builder.running(repository=REPO)
    gpu = await builder.waiting(repository=REPO, capabilities=("gpu",), priority=5)
    await builder.waiting(repository=REPO, capabilities=("quantum",), priority=9)
    plain = await builder.waiting(repository=REPO)
    assert await ids(builder) == [] == await ids(builder, GPU)
    await done(builder, running.job_id)
    assert await ids(builder) == [plain.job_id]
    assert await ids(builder, GPU) == []
    await done(builder, plain.job_id)
    assert await ids(builder, GPU) == [gpu.job_id]


async def test_many_workers_never_exceed_a_limit(store: Store, builder: JobBuilder) -> None:
    """Q-18: whoever asks at the same time, for however many."""
    await limited(store, "type=a:3", "repo=*:2")
    submissions = [
        builder.submission("ab"[at % 2], repository=f"host/o/r{at % 5}", affinity_key=f"k{at % 7}")
        for at in range(60)
    ]
    left = set(await builder.enqueued(*submissions))

    async def one(worker: str) -> list[Job]:
        return await builder.claim(worker=worker, limit=4)

    for _ in range(100):
        batches = await asyncio.gather(*(one(f"w{at}") for at in range(6)))
        running = [job for jobs in batches for job in jobs]
        assert sum(job.type == "a" for job in running) <= 3
        for limit in (lambda job: job.repository, lambda job: job.affinity_key):
            values = [limit(job) for job in running]
            assert max(map(values.count, values), default=0) <= 2
        keyed = [job.affinity_key for job in running]
        assert len(set(keyed)) == len(keyed)
        assert running or not left, "nothing runs, and jobs wait"
        left -= {job.id for job in running}
        for job in running:
            assert job.claimed_by
            await builder.ended(Made(job.id, 1, job.claimed_by), endings.Complete(job.id, 1))
        if not left:
            break
    assert not left


async def test_a_job_that_comes_back_waits_for_its_limit_too(store: Store, builder: JobBuilder) -> None:
    """Q-18: released, redriven or due again, it is one more of its lane."""
    dead = await builder.dead_letter(affinity_key="k")
    returned = await builder.returned(affinity_key="k")
    running = await builder.running(affinity_key="k", priority=9)
    delayed = await builder.delayed(delay_ms=1, affinity_key="k", type="late")
    await builder.until_due(delayed)
    await dead_letters.redrive(store, [dead.job_id], actor="ann")
    assert await ids(builder) == []
    order = []
    last = running
    for _ in range(3):
        await complete(builder, last)
        (job,) = await builder.claim(limit=10)
        order.append(job.id)
        last = Made(job.id, int(job.lease_token or 0))
    assert order[0] == returned.job_id
    assert set(order) == {dead.job_id, returned.job_id, delayed.job_id}


async def test_a_cancelled_job_does_not_keep_the_others_waiting(store: Store, builder: JobBuilder) -> None:
    """Q-18: the lane that was given the free slot is cancelled away; the next one gets it."""
    running = await builder.running(affinity_key="k")
    chosen = await builder.waiting(affinity_key="k", type="b")
    next_one = await builder.waiting(affinity_key="k", type="c")
    assert await ids(builder) == []
    await complete(builder, running)
    await cancellation.cancel(store, chosen.job_id, actor="ann")
    assert await limit_invariants.check(store) == []
    assert await ids(builder) == [next_one.job_id]


async def test_a_new_policy_finds_what_was_set_aside(store: Store, builder: JobBuilder) -> None:
    """Q-3, Q-18: registered while a limit is used up, it neither exceeds it nor misses the slot."""
    running = await builder.running(affinity_key="k")
    waiting = await builder.waiting(affinity_key="k")
    assert await ids(builder) == []
    assert await ids(builder, GPU) == []
    assert await store.command("ZCARD", keys.parked(GPU.id)) == 1
    await complete(builder, running)
    assert await ids(builder, GPU) == [waiting.job_id]


async def test_a_slot_that_was_freed_while_nobody_was_there(store: Store, builder: JobBuilder) -> None:
    """Q-18: with every policy forgotten, the lane stayed set aside although its limit had room."""
    running = await builder.running(affinity_key="k")
    waiting = await builder.waiting(affinity_key="k")
    await past(store, await now_ms(store))
    await sweeping.forget_policies(store, idle_seconds=0)
    await complete(builder, running)
    assert await ids(builder) == [waiting.job_id]


async def test_a_forgotten_policy_leaves_nothing(store: Store, builder: JobBuilder) -> None:
    await limited(store, "type=a:1")
    await builder.running(affinity_key="k", type="a")
    await builder.waiting(affinity_key="k", type="b")
    await builder.waiting(type="a")
    assert await ids(builder, GPU) == []
    assert await store.command("EXISTS", keys.parked(GPU.id), keys.ready(GPU.id, "a")) == 2
    await store.command("ZADD", keys.POLICIES_USED, 1, GPU.id)
    await sweeping.forget_policies(store)
    assert await store.command("EXISTS", keys.parked(GPU.id), keys.ready(GPU.id, "a")) == 0


async def test_more_lanes_are_held_back_than_one_claim_looks_at(store: Store, builder: JobBuilder) -> None:
    """Q-18: a thousand lanes of a busy repository stand before a job that is not limited."""
    await limited(store, "repo=*:1")
    described = [{"repository": REPO, "affinity_key": f"k{at}", "priority": 1} for at in range(1000)]
    made = await builder.enqueued(*(builder.submission(**each) for each in described))
    free = await builder.waiting()
    assert await ids(builder, limit=1) == [made[0]]
    assert await ids(builder, limit=1) == [free.job_id]
    assert await store.command("ZCARD", keys.PARKED) == 999
    await done(builder, made[0])
    assert await ids(builder, limit=5) == [made[1]]
