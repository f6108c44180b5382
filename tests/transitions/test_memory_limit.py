"""At maxmemory a store takes no new work, and what runs can always end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from sluicegate.errors import Busy
from sluicegate.store import (
    audit,
    cancellation,
    claims,
    endings,
    invariants,
    jobs,
    pause,
    retention,
    sweeping,
)
from sluicegate.store.connection import Store
from tests.support import store_server
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder
from tests.support.wait import until


@pytest.fixture
def store_kind(request: pytest.FixtureRequest) -> str:
    return "valkey"


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def store_url(request: pytest.FixtureRequest) -> str:
    """Real servers only: fakeredis has no memory limit."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    store_server.flush(url)
    return url


@pytest.fixture
async def full(store: Store) -> AsyncIterator[Store]:
    """Call `await limit(store)` once the before-state is there; the limit is lifted afterwards."""
    yield store
    await store.command("CONFIG", "SET", "maxmemory", 0)


async def limit(store: Store) -> None:
    await store.command("CONFIG", "SET", "maxmemory", 1)


async def test_new_work_is_refused_and_what_is_queued_stays(full: Store, builder: JobBuilder) -> None:
    """Q-17: 429 `queue_full`, nothing written; nobody opens an attempt either."""
    made = await builder.waiting()
    before = await contents(full)
    await limit(full)
    for call in (builder.waiting, builder.claim):
        with pytest.raises(Busy) as refused:
            await call()
        assert refused.value.code == "queue_full"
    assert await contents(full) == before
    await full.command("CONFIG", "SET", "maxmemory", 0)
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_what_runs_can_always_end(full: Store, builder: JobBuilder) -> None:
    """Q-17: heartbeat, complete, fail, release, cancel, its acknowledgement, expiry, retention, pause."""
    made = {
        name: await builder.running(type=name) for name in ("complete", "fail", "release", "cancel", "expire")
    }
    old = await builder.succeeded()
    waiting = await builder.waiting()
    await limit(full)
    held = made["complete"]
    renewal = await claims.renew(full, held.worker, [claims.Lease(held.job_id, held.token, 90_000)])
    assert isinstance(renewal.items[0], claims.Wishes)
    await builder.ended(held, endings.Complete(held.job_id, held.token, "done"))
    await builder.ended(made["fail"], endings.Fail(made["fail"].job_id, 1, "broken", retryable=False))
    await builder.ended(made["release"], endings.Release(made["release"].job_id, 1))
    await cancellation.cancel(full, made["cancel"].job_id, actor="ann")
    await cancellation.acknowledge(full, made["cancel"].job_id, worker_id="worker-1", lease_token=1)
    assert (await cancellation.cancel(full, waiting.job_id, actor="ann")).status == "cancelled"
    await builder.lease_over(made["expire"])
    assert await sweeping.expire_leases(full) == 1
    assert await retention.remove(full, "succeeded", [old.job_id]) == [None]
    await pause.change(full, action="pause", mode="drain", reason="memory", actor="ann")
    assert len((await audit.page(full))[0]) == 3
    counts = await jobs.counts(full)
    assert (counts.succeeded, counts.failed, counts.cancelled, counts.running) == (1, 1, 2, 0)
    assert (counts.queued, counts.delayed) in ((1, 1), (2, 0))


async def test_new_work_is_refused_before_memory_is_short(full: Store, builder: JobBuilder) -> None:
    """Q-17: past a share of `maxmemory`; what is known is answered, workers go on, and the error says why.

    Here past 30 %: past the usual 80 % too little is left for the calls themselves in an empty store.
    """
    assert full.settings.max_memory_share == 0.8
    known, waiting = builder.submission(), await builder.waiting()
    await builder.enqueued(known)
    used = int((await full.command("INFO", "memory")).split("used_memory:")[1].split()[0])
    await full.command("CONFIG", "SET", "maxmemory", used * 2)
    before = await contents(full)
    opened = Store(msgspec.structs.replace(full.settings, max_memory_share=0.3), full._connect)
    try:
        new, again = await jobs.enqueue(opened, [builder.submission(), known])
        assert isinstance(new, Busy) and new.code == "queue_full"
        assert "SLUICEGATE_MAX_MEMORY_SHARE" in new.detail and "30%" in new.detail
        assert isinstance(again, jobs.Enqueued) and again.replayed
        assert await contents(full) == before
        (job,) = await builder.claim()
        assert job.id == waiting.job_id
        await full.command("CONFIG", "SET", "maxmemory", used * 10)
        await until(lambda: _accepted(opened, builder), "the next look finds room")
    finally:
        await opened.close()


async def _accepted(store: Store, builder: JobBuilder) -> bool:
    return isinstance((await jobs.enqueue(store, [builder.submission()]))[0], jobs.Enqueued)


async def test_a_burst_looks_at_memory_once(store: Store, builder: JobBuilder) -> None:
    """Q-17: an INFO for each enqueue would cost more than the enqueue."""

    async def looks() -> int:
        found = [line for line in (await store.command("INFO", "commandstats")).splitlines() if ":" in line]
        calls = [line for line in found if line.startswith("cmdstat_info:")]
        return int(calls[0].split("calls=")[1].split(",")[0]) if calls else 0

    before = await looks()
    opened = Store(store.settings, store._connect)
    try:
        await asyncio.gather(*(jobs.enqueue(opened, [builder.submission()]) for _ in range(50)))
    finally:
        await opened.close()
    # One of the burst, one for each second that it took, and this question's own.
    assert await looks() - before <= 4


async def test_a_refusal_poisons_no_connection(full: Store, builder: JobBuilder) -> None:
    """A heartbeat of presence under the limit fails, and the next call gets its own answer."""
    made = await builder.running()
    await limit(full)
    with pytest.raises(Busy):
        await full.commands(("SET", "{sg:0}:worker:w", "x", "PX", 1000), ("ZADD", "{sg:0}:workers", 1, "w"))
    assert (await jobs.get(full, made.job_id)).status == "running"


async def test_the_check_of_the_store_still_answers(full: Store, builder: JobBuilder) -> None:
    """It reads pages as transactions, which a server at its limit refuses."""
    for state in builder.by_state:
        await builder.made(state, type=state)
    await limit(full)
    assert await invariants.check(full) == []
