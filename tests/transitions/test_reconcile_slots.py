"""reconcile_slots: each running job has the slots of its limits, and nobody else has one."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store import limit_invariants, limits, pause
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder
from tests.transitions.test_limits import ids, limited


async def test_slots_that_agree_are_left_alone(store: Store, builder: JobBuilder) -> None:
    await limited(store, "type=running:1", "repo=*:1")
    for state in builder.by_state:
        await builder.made(state, type=state.replace("_", "-"), affinity_key=f"key of {state}")
    before = await contents(store)
    assert await limits.reconcile(store) == []
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_a_lost_slot_is_taken_again(store: Store, builder: JobBuilder) -> None:
    """Q-18: without it one job too many would run."""
    await limited(store, "type=work:1")
    made = await builder.running()
    await builder.waiting()
    await store.command("DEL", keys.SLOTS)
    assert f"job {made.job_id} runs under type=work without a slot" in await limit_invariants.check(store)
    assert await limits.reconcile(store) == [f"job {made.job_id}: no slot of type=work, and it runs"]
    assert await limit_invariants.check(store) == []
    assert await ids(builder) == []


@pytest.mark.damages_the_store
@pytest.mark.parametrize("setting", ["type=work:1", "repo=*:1"])
async def test_a_slot_of_nobody_is_freed(store: Store, builder: JobBuilder, setting: str) -> None:
    """Q-18: it would hold back its lanes for ever; who waits for it is woken."""
    await limited(store, setting)
    waiting = await builder.waiting(repository="github.com/acme/a")
    name = "type=work" if setting.startswith("type") else "repo=github.com/acme/a"
    await store.command("ZADD", keys.SLOTS, 0, f"{name}|{waiting.job_id}")
    assert await ids(builder) == []
    await store.command("DEL", keys.bell(builder.everything.id))
    assert any("does not run under it" in found for found in await limit_invariants.check(store))
    (told,) = await limits.reconcile(store)
    assert told == f"job {waiting.job_id}: a slot of {name} that it does not run under"
    assert await store.command("LLEN", keys.bell(builder.everything.id)) == 1
    assert await limit_invariants.check(store) == []
    assert await ids(builder) == [waiting.job_id]


@pytest.mark.damages_the_store
async def test_paused_nothing_is_written(store: Store, builder: JobBuilder) -> None:
    """P-4."""
    await builder.running(affinity_key="k")
    await store.command("DEL", keys.SLOTS)
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    before = await contents(store)
    assert await limits.reconcile(store) == []
    assert await contents(store) == before
