"""repair_policies: what cannot be read goes, the rest is mended (60-3)."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder


async def test_a_sound_policy_is_left_alone(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    await builder.waiting()
    before = await contents(store)
    assert await store.run("repair_policies", [(builder.everything.id,)]) == [1]
    assert await contents(store) == before


async def test_an_unreadable_policy_is_registered_anew(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    made = await builder.waiting()
    policy = builder.everything.id
    await store.command("HSET", keys.POLICIES, policy, "?")
    assert await store.run("repair_policies", [(policy,)]) == [0]
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_a_bell_and_a_time_of_use_are_mended(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    policy = builder.everything.id
    await store.commands(("RPUSH", keys.bell(policy), 1, 1), ("ZREM", keys.POLICIES_USED, policy))
    assert await store.run("repair_policies", [(policy,)]) == [1]
    assert await store.command("LLEN", keys.bell(policy)) == 1
    assert await store.command("ZRANGE", keys.POLICIES_USED, 0, -1) == [policy]


async def test_what_belongs_to_no_policy_goes(store: Store, builder: JobBuilder) -> None:
    before = await contents(store)
    await store.commands(("ZADD", keys.ready("nobody"), 1, "x"), ("RPUSH", keys.bell("nobody"), 1))
    assert await store.run("repair_policies", [("nobody",)]) == [0]
    assert await contents(store) == before
