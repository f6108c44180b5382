"""repair_jobs: a job is put where its record says; every corruption is planted in services/doctor (60-3)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store import claims, endings, jobs
from sluicegate.store.connection import Store
from tests.support.contents import contents, fields, kinds
from tests.support.job_builder import JobBuilder

LEASE_MS = 60_000


async def repaired(store: Store, *job_ids: str) -> list[str]:
    (words,) = await store.run("repair_jobs", [(job_id,) for job_id in job_ids], lease_ms=LEASE_MS)
    return list(words)


async def test_a_sound_job_is_left_alone(store: Store, builder: JobBuilder) -> None:
    made = [(await builder.made(state, type=state)).job_id for state in builder.STATES]
    before = await contents(store)
    assert await repaired(store, *made, "nobody") == ["OK"] * (len(made) + 1)
    assert await contents(store) == before


async def test_a_running_job_without_lease_stays_its_workers(store: Store, builder: JobBuilder) -> None:
    """Its worker renews the new lease, and completes; the history says what happened."""
    made = await builder.running()
    await store.command("ZREM", keys.LEASES, made.job_id)
    assert await repaired(store, made.job_id) == ["FIXED no_lease"]
    assert await repaired(store, made.job_id) == ["OK"]
    (wishes,) = (
        await claims.renew(store, made.worker, [claims.Lease(made.job_id, made.token, LEASE_MS)])
    ).items
    assert isinstance(wishes, claims.Wishes)
    assert await kinds(store, made.job_id) == ["job.claimed", "custom"]
    await builder.ended(made, endings.Complete(made.job_id, made.token))


async def test_a_running_job_is_held_beside_jobs_that_wait(store: Store, builder: JobBuilder) -> None:
    """Its new entry is in a stream in which none waits: giving it out again must not give out another."""
    made = await builder.running()
    waiting = [(await builder.waiting()).job_id for _ in range(2)]
    lane = keys.lane("0|work|||", "+w")
    await store.command("XACK", lane, "workers", (await fields(store, made.job_id))["entry"][2:])
    assert await repaired(store, made.job_id) == ["FIXED not_pending"]
    assert (await fields(store, made.job_id))["entry"].startswith("+p")
    assert [job.id for job in await builder.claim(worker="another", limit=9)] == waiting
    await builder.ended(made, endings.Complete(made.job_id, made.token))
    assert not await store.command("EXISTS", keys.lane("0|work|||", "+p"))


async def test_a_lost_job_waits_where_it_would_have(store: Store, builder: JobBuilder) -> None:
    """It has waited since it was created, so it goes before what came later."""
    first, second = [(await builder.waiting()).job_id for _ in range(2)]
    stored = await fields(store, first)
    await store.command("XDEL", keys.lane("0|work|||", "+w"), stored["entry"][2:])
    await store.command("HSET", keys.LANES, "0|work|||+w", 1)
    assert await repaired(store, first) == ["FIXED nowhere"]
    await store.run("reconcile_lanes", [("0|work|||+w",)], paused_too=0)
    assert [job.id for job in await builder.claim(limit=9)] == [first, second]


@pytest.mark.damages_the_store
async def test_a_record_that_lacks_its_lane_is_not_guessed_at(store: Store, builder: JobBuilder) -> None:
    made = await builder.waiting()
    await store.command("HDEL", keys.job(made.job_id), "lane")
    before = await contents(store)
    assert await repaired(store, made.job_id) == ["INCOMPLETE"]
    assert await contents(store) == before


async def test_what_points_at_nothing_is_dropped(store: Store, builder: JobBuilder) -> None:
    for key in (keys.LEASES, keys.DELAYED, keys.status("failed")):
        await store.command("ZADD", key, 1, "nobody")
    assert await repaired(store, "nobody") == ["FIXED no_record failed, no_record leased"]
    assert await repaired(store, "nobody") == ["OK"]


async def test_a_dead_job_can_be_found_and_redriven_again(store: Store, builder: JobBuilder) -> None:
    """Q-8."""
    made = await builder.dead_letter()
    await store.command("DEL", keys.DEAD)
    assert await repaired(store, made.job_id) == ["FIXED no_letter"]
    assert await store.command("XLEN", keys.DEAD) == 1
    assert (await jobs.get(store, made.job_id)).status == "dead_letter"
