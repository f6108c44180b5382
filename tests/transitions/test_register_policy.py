"""register_policy: from the first slice on no lane is missed; a claim waits for the last one."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import Busy
from sluicegate.model import Policy
from sluicegate.store import cancellation
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, now_ms


async def register(store: Store, policy: Policy, cursor: str = "0") -> str:
    return str((await store.run("register_policy", policy=policy.id, text=policy.text, cursor=cursor))[0])


async def test_a_policy_becomes_known(store: Store, builder: JobBuilder) -> None:
    """Q-3: with exactly the ready lanes that it may read."""
    await builder.waiting()
    await builder.waiting(type="other")
    await builder.waiting(capabilities=("gpu",))
    before = await contents(store)
    assert await register(store, builder.work) == "0"
    after = await contents(store)
    assert changed(before, after) == {"policies", "policies:used", f"ready:{builder.work.id}"}
    assert after["policies"] == {builder.work.id: f"+{builder.work.text}"}
    assert after[f"ready:{builder.work.id}"] == {"0|work|||+w": after["ready"]["0|work|||+w"]}


async def test_a_known_policy_stays_as_it_is(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    before = await contents(store)
    assert await register(store, builder.everything) == "0"
    assert await contents(store) == before


async def test_slices_miss_nothing_that_changes_meanwhile(store: Store, builder: JobBuilder) -> None:
    """Between two slices lanes turn ready, change their heads and go; a claim has to wait."""
    ids = await builder.enqueued(*(builder.submission(repository=f"host/a/{at}") for at in range(1200)))
    cursor = await register(store, builder.work)
    assert cursor != "0"
    reply = await store.run("claim", worker="w", policy=builder.work.id, lease_ms=1000, limit=1, request="r")
    assert reply == ["UNKNOWN_POLICY"]
    added = await builder.waiting(repository="host/a/new")
    for gone in ids[::30]:
        await cancellation.cancel(store, gone, actor="ann")
    while cursor != "0":
        cursor = await register(store, builder.work, cursor)
    expected = {added.job_id, *ids} - set(ids[::30])
    found: set[str] = set()
    while batch := await builder.claim(builder.work, limit=100):
        found.update(job.id for job in batch)
    assert found == expected


@pytest.mark.slow
async def test_at_most_256_policies_are_known(store: Store, builder: JobBuilder) -> None:
    """The 257th replaces the one that was idle for longest, once that is a minute; else it is refused."""
    policies = [Policy(types=(f"t{at}",)) for at in range(300)]
    for policy in policies[:256]:
        await builder.claim(policy, limit=0)
    before = await contents(store)
    with pytest.raises(Busy) as refused:
        await builder.claim(policies[256])
    assert refused.value.code == "rate_limited"
    assert await contents(store) == before
    long_ago = await now_ms(store) - 60_001
    await store.command("ZADD", keys.POLICIES_USED, long_ago, policies[7].id)
    await builder.waiting(type="t256")
    assert len(await builder.claim(policies[256])) == 1
    known = await store.command("HKEYS", keys.POLICIES)
    assert set(known) == {policy.id for policy in policies[:257]} - {policies[7].id}


@pytest.mark.slow
async def test_three_hundred_policies_work_side_by_side(store: Store, builder: JobBuilder) -> None:
    """Q-3: more than may be known at once, each used in turn and found again."""
    await builder.enqueued(*(builder.submission(f"t{at}") for at in range(300)))
    for at in range(300):
        idle = await now_ms(store) - 60_001
        known = await store.command("HKEYS", keys.POLICIES)
        if len(known) == 256:
            await store.command("ZADD", keys.POLICIES_USED, idle, known[0])
        (job,) = await builder.claim(Policy(types=(f"t{at}",)), limit=5)
        assert job.type == f"t{at}"
