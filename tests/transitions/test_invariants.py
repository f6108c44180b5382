"""The check finds each kind of damage, finds nothing where there is none, and changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sluicegate import keys
from sluicegate.store import endings, invariants
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, Made

LANE = "0|{}|||"


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Real servers only: the fake one takes seconds for so many reads."""
    return str(request.param)


async def everywhere(builder: JobBuilder) -> dict[str, Made]:
    """A job in each state, each in a lane of its own, and a policy that may read them all."""
    await builder.claim(limit=0)
    return {state: await builder.made(state, type=state) for state in builder.by_state}


async def test_a_sound_store_has_no_differences(store: Store, builder: JobBuilder) -> None:
    await everywhere(builder)
    before = await contents(store)
    assert await invariants.check(store) == []
    assert await contents(store) == before


def damages(made: dict[str, Made], policy: str) -> dict[str, tuple[tuple[Any, ...], str]]:
    """What is done to the store, and what the check says of it."""
    ids = {state: each.job_id for state, each in made.items()}
    waiting = LANE.format("waiting")
    return {
        "record gone": (("DEL", keys.job(ids["succeeded"])), "its record says None"),
        "status torn": (("HSET", keys.job(ids["failed"]), "status", "queued"), "its record says queued"),
        "not listed": (("ZREM", keys.status("failed"), ids["failed"]), "is not listed as such"),
        "lease gone": (("ZREM", keys.LEASES, ids["running"]), "stands in lane"),
        "lease too many": (("ZADD", keys.LEASES, 1, ids["waiting"]), "stands in lane and lease"),
        "lease of nobody": (("ZADD", keys.LEASES, 1, "nobody"), "the leases hold 4 jobs"),
        "delayed gone": (("ZREM", keys.DELAYED, ids["delayed"]), "stands in no place"),
        "delayed twice": (("ZADD", keys.DELAYED, 1, ids["waiting"]), "stands in lane and delayed"),
        "due at another time": (("ZADD", keys.DELAYED, 5, ids["delayed"]), "is due at 5"),
        "no owner": (("HDEL", keys.job(ids["running"]), "owner"), "lacks what a running job has"),
        "a former owner": (("HSET", keys.job(ids["waiting"]), "owner", "w"), "still has an owner"),
        "cancel forgotten": (("HSET", keys.job(ids["returned"]), "cancel_at", 1), "waits although"),
        "no end": (("HDEL", keys.job(ids["cancelled"]), "finished_at"), "an end that does not fit"),
        "no letter": (("DEL", keys.DEAD), "is not its own"),
        "lane gone": (("DEL", keys.lane(waiting, "+w")), "which is not there"),
        "lane not listed": (("HDEL", keys.LANES, f"{waiting}+w"), "is not listed"),
        "count wrong": (("HINCRBY", keys.LANES, f"{waiting}+w", 1), "1 jobs wait, and 2 are counted"),
        "an entry of nobody": (
            ("XADD", keys.lane(waiting, "+w"), "*", "job", "nobody"), "2 jobs wait, and 1 are counted",
        ),
        "not ready": (("ZREM", keys.READY, f"{waiting}+w"), "stands at None for every worker"),
        "in a wrong place": (("ZADD", keys.ready(policy), 5, f"{waiting}+w"), "stands at 5.0 for policy"),
        "ready for nobody": (("ZADD", keys.ready("nobody"), 5, "x"), "belongs to no known policy"),
        "two tokens": (("RPUSH", keys.bell(policy), 1, 1), "more than one token"),
        "policy forgotten": (("ZREM", keys.POLICIES_USED, policy), "times of their last use differ"),
        "acknowledged, not removed": (
            ("XACK", keys.lane(LANE.format("running"), "+w"), "workers", "<entry>"), "is not pending",
        ),
        "pause gone": (("DEL", keys.PAUSE), "no pause record"),
        "version given out twice": (("HSET", keys.PAUSE, "version", 9), "the last given out is 0"),
        "left behind": (("HSET", keys.job_shelf("gone", "facts"), "a", "b"), "which has no record"),
    }  # fmt: skip


@pytest.mark.damages_the_store
@pytest.mark.parametrize("name", damages(dict.fromkeys(JobBuilder.STATES, Made("")), ""))
async def test_a_difference_is_found(store: Store, builder: JobBuilder, name: str) -> None:
    made = await everywhere(builder)
    damage, told = damages(made, builder.everything.id)[name]
    entry = await store.command("HGET", keys.job(made["running"].job_id), "entry")
    await store.command(*(entry[2:] if word == "<entry>" else word for word in damage))
    before = await contents(store)
    found = await invariants.check(store)
    assert any(told in difference for difference in found), found
    assert await contents(store) == before


async def test_a_store_at_work_has_no_differences(store: Store, builder: JobBuilder) -> None:
    """What is only under way while the check reads is not there at the second look."""
    done = asyncio.Event()

    async def work(worker: str) -> None:
        while not done.is_set():
            await builder.enqueued(*(builder.submission(payload={"w": worker}) for _ in range(3)))
            for job in await builder.claim(worker=worker, limit=3):
                await endings.finish_one(store, worker, endings.Complete(job.id, int(job.lease_token or 0)))

    workers = [asyncio.create_task(work(f"w{at}")) for at in range(3)]
    try:
        found = [await invariants.check(store) for _ in range(5)]
    finally:
        done.set()
        await asyncio.gather(*workers)
    assert found == [[]] * 5
    assert await invariants.check(store) == []
