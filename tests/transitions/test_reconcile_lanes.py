"""reconcile_lanes: what is derived of a lane agrees with its stream again; no job is made up or moved."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store import invariants, pause, repair
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder

LANE = "0|work|||+w"


async def waiting(builder: JobBuilder, count: int) -> list[str]:
    """Jobs in one lane, which a known policy may read."""
    assert await builder.claim() == []
    return [(await builder.waiting()).job_id for _ in range(count)]


async def test_lanes_that_agree_are_left_alone(store: Store, builder: JobBuilder) -> None:
    for state in builder.by_state:
        await builder.made(state, type=state.replace("_", "-"))
    before = await contents(store)
    assert await repair.reconcile(store) == []
    assert await contents(store) == before


@pytest.mark.parametrize("count", ["7", "0", "-3"])
async def test_a_wrong_count(store: Store, builder: JobBuilder, count: str) -> None:
    job_ids = await waiting(builder, 2)
    before = await contents(store)
    await store.command("HSET", keys.LANES, LANE, count)
    assert await repair.reconcile(store) == [f"in lane {LANE} 2 wait, and {count} are counted"]
    assert await contents(store) == before
    assert [job.id for job in await builder.claim(limit=5)] == job_ids


async def test_a_missing_count(store: Store, builder: JobBuilder) -> None:
    await waiting(builder, 1)
    before = await contents(store)
    await store.command("HDEL", keys.LANES, LANE)
    assert await repair.reconcile(store) == [f"lane {LANE} is not listed: enqueueing into it would fail"]
    assert await contents(store) == before


async def test_a_lane_with_work_that_was_not_ready(store: Store, builder: JobBuilder) -> None:
    """Such a job waits for ever, with idle workers beside it: they are woken too."""
    job_ids = await waiting(builder, 1)
    before = await contents(store)
    bell = keys.bell(builder.everything.id)
    await store.command("ZREM", keys.READY, LANE)
    await store.command("ZREM", keys.ready(builder.everything.id), LANE)
    await store.command("DEL", bell)
    assert await repair.reconcile(store) == [f"jobs wait in lane {LANE}, and no worker sees it"]
    assert await contents(store) == before
    assert await store.command("LLEN", bell) == 1
    assert [job.id for job in await builder.claim()] == job_ids


async def test_a_policy_that_does_not_know_of_a_ready_lane(store: Store, builder: JobBuilder) -> None:
    job_ids = await waiting(builder, 1)
    await store.command("ZREM", keys.ready(builder.everything.id), LANE)
    assert await builder.claim() == []
    await repair.reconcile(store)
    assert [job.id for job in await builder.claim()] == job_ids


async def test_a_ready_lane_without_work(store: Store, builder: JobBuilder) -> None:
    """All of its entries are running."""
    await builder.running()
    before = await contents(store)
    await store.command("ZADD", keys.READY, 1, LANE)
    await store.command("ZADD", keys.ready(builder.work.id), 1, LANE)
    assert await repair.reconcile(store) == [f"nothing waits in lane {LANE}, and workers look there"]
    assert await contents(store) == before


async def test_a_ghost_lane(store: Store, builder: JobBuilder) -> None:
    assert await builder.claim() == []
    before = await contents(store)
    await store.command("HSET", keys.LANES, LANE, 3)
    await store.command("ZADD", keys.READY, 1, LANE)
    await store.command("ZADD", keys.ready(builder.everything.id), 1, LANE)
    assert await repair.reconcile(store) == [
        f"lane {LANE} is listed, and is not there",
        f"nothing waits in lane {LANE}, and workers look there",
    ]
    assert await contents(store) == before


async def test_a_ghost_among_the_ready_lanes(store: Store, builder: JobBuilder) -> None:
    assert await builder.claim() == []
    before = await contents(store)
    await store.command("ZADD", keys.READY, 1, LANE)
    assert await repair.reconcile(store) == [f"nothing waits in lane {LANE}, and workers look there"]
    assert await contents(store) == before


async def test_running_jobs_are_not_counted_as_waiting(store: Store, builder: JobBuilder) -> None:
    running = await builder.running()
    await waiting(builder, 1)
    await store.command("HSET", keys.LANES, LANE, 2)
    assert await repair.reconcile(store) == [f"in lane {LANE} 1 wait, and 2 are counted"]
    assert await store.command("ZSCORE", keys.LEASES, running.job_id)


@pytest.mark.damages_the_store
async def test_what_cannot_be_repaired_here_is_not_repaired_for_ever(
    store: Store, builder: JobBuilder
) -> None:
    """A running job's entry is no longer pending: each pass found the lane unready, and tried again."""
    await builder.running()
    (entry, _), *_ = await store.command("XRANGE", keys.lane(LANE, ""), "-", "+")
    await store.command("XACK", keys.lane(LANE, ""), "workers", entry)
    assert await repair.reconcile(store) == []
    assert await builder.claim() == []


@pytest.mark.damages_the_store
async def test_paused_nothing_is_written(store: Store, builder: JobBuilder) -> None:
    """P-4: the sweeper leaves lanes alone."""
    await waiting(builder, 1)
    await store.command("HSET", keys.LANES, LANE, 5)
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    before = await contents(store)
    assert await repair.reconcile(store) == []
    assert changed(before, await contents(store)) == set()


async def test_more_lanes_than_one_call_takes(store: Store, builder: JobBuilder) -> None:
    made = [await builder.waiting(type=f"kind-{number}") for number in range(120)]
    assert len(made) == 120
    for number in (0, 119):
        await store.command("HSET", keys.LANES, f"0|kind-{number}|||+w", 9)
    assert len(await repair.reconcile(store)) == 2


async def test_twice_is_once(store: Store, builder: JobBuilder, store_kind: str) -> None:
    await waiting(builder, 2)
    await store.command("HSET", keys.LANES, LANE, 9)
    assert len(await repair.reconcile(store)) == 1
    assert await repair.reconcile(store) == []
    if store_kind != "fakeredis":
        assert await invariants.check(store) == []
