"""forget_policies: what no claim used for a time leaves nothing behind."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store import pause, sweeping
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, now_ms, past


async def test_an_idle_policy_is_forgotten(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    await builder.claim(builder.work)
    await builder.waiting()
    await store.command("ZADD", keys.POLICIES_USED, await now_ms(store) - 600_001, builder.work.id)
    before = await contents(store)
    assert await sweeping.forget_policies(store) == 1
    after = await contents(store)
    gone = {f"ready:{builder.work.id}", f"bell:{builder.work.id}"}
    assert changed(before, after) == {"policies", "policies:used"} | gone
    assert not gone & after.keys()
    assert after["policies"].keys() == after["policies:used"].keys() == {builder.everything.id}


async def test_whoever_comes_back_is_known_again(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    made = await builder.waiting()
    await past(store, await now_ms(store))
    assert await sweeping.forget_policies(store, idle_seconds=0) == 1
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_what_is_used_stays(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    before = await contents(store)
    assert await sweeping.forget_policies(store) == 0
    assert await contents(store) == before


async def test_a_claim_counts_as_use(store: Store, builder: JobBuilder) -> None:
    """Noted at most every 20 s: a claim of nothing otherwise writes nothing."""
    await builder.claim()
    await store.command("ZADD", keys.POLICIES_USED, await now_ms(store) - 600_001, builder.everything.id)
    await builder.claim()
    assert await sweeping.forget_policies(store) == 0


async def test_while_paused_nothing_is_forgotten(store: Store, builder: JobBuilder) -> None:
    """P-4: paused workers leave no trace of use."""
    await builder.claim()
    await past(store, await now_ms(store))
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    before = await contents(store)
    assert await sweeping.forget_policies(store, idle_seconds=0) is None
    assert await contents(store) == before
