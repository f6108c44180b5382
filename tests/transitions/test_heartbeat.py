"""heartbeat: moves a deadline, for whoever still holds the job, and tells what operators want."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import LeaseLost, StoreUninitialised
from sluicegate.model import Job, Pauses
from sluicegate.store import cancellation, claims, jobs, pause, sweeping
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, now_ms, past
from tests.transitions.test_pause_some import lifted, paused


async def test_a_lease_is_extended(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    before = await contents(store)
    earliest = await now_ms(store) + 120_000
    renewal = await claims.renew(store, "worker-1", [claims.Lease(made.job_id, made.token, 120_000)])
    after = await contents(store)
    assert changed(before, after) == {"leases"}
    (item,) = renewal.items
    assert isinstance(item, claims.Wishes)
    assert int(after["leases"][made.job_id]) == item.lease_expires_ms
    assert earliest <= item.lease_expires_ms <= await now_ms(store) + 120_000
    assert item[1:] == (None, None, None, None, 0)


async def test_many_leases_are_judged_one_by_one(store: Store, builder: JobBuilder) -> None:
    held = [await builder.running(type=f"t{at}") for at in range(3)]
    lost = await builder.succeeded(type="done")
    leases = [claims.Lease(made.job_id, made.token, 90_000) for made in (held[0], lost, *held[1:])]
    items = (await claims.heartbeat(store, "worker-1", leases)).items
    assert [type(item) for item in items] == [Job, LeaseLost, Job, Job]
    assert [item.id for item in items if isinstance(item, Job)] == [made.job_id for made in held]
    assert all(item.lease_token == "1" for item in items if isinstance(item, Job))


async def test_more_leases_than_one_call_takes(store: Store, builder: JobBuilder) -> None:
    await builder.enqueued(*(builder.submission() for _ in range(150)))
    claimed = [*await builder.claim(limit=100), *await builder.claim(limit=50)]
    leases = [claims.Lease(job.id, 1, 90_000) for job in claimed]
    renewal = await claims.renew(store, "worker-1", leases)
    assert len(renewal.items) == 150
    assert all(isinstance(item, claims.Wishes) for item in renewal.items)


async def test_the_pause_and_cancel_come_along(store: Store, builder: JobBuilder) -> None:
    """P-5, C-10: a worker that missed the push learns it here."""
    made = await builder.running()
    await cancellation.cancel(store, made.job_id, actor="ann", reason="wrong branch")
    state = await pause.change(store, action="pause", mode="quiesce", reason="upgrade", actor="bob")
    renewal = await claims.renew(store, "worker-1", [claims.Lease(made.job_id, made.token, 1000)])
    assert renewal.system == state
    (item,) = renewal.items
    assert isinstance(item, claims.Wishes)
    assert (item.cancel_requested_by, item.cancel_reason) == ("ann", "wrong branch")
    assert item.cancel_requested_at_ms is not None


async def test_no_lease_still_tells_of_the_pause(store: Store) -> None:
    """P-5."""
    assert (await claims.heartbeat(store, "worker-1", [])).system == await pause.read(store)


async def test_a_late_heartbeat_succeeds_while_nobody_requeued(store: Store, builder: JobBuilder) -> None:
    """Q-9, also while paused: only a changed token loses a lease."""
    made = await builder.stale()
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    assert await sweeping.expire_leases(store) is None
    await claims.renew(store, "worker-1", [claims.Lease(made.job_id, made.token, 60_000)])
    counts = await jobs.counts(store)
    assert (counts.running, counts.stale_running) == (1, 0)


async def test_it_tells_of_the_narrower_pauses(store: Store, builder: JobBuilder) -> None:
    """P-12: those in force, and the version of the latest change, also after the last one was lifted."""
    made = await builder.running()
    lease = claims.Lease(made.job_id, made.token, 60_000)
    assert (await claims.renew(store, "worker-1", [lease])).pauses == Pauses(items=[], version=0)
    found = [await paused(store, "type", "other"), await paused(store, "worker", "w1", mode="quiesce")]
    assert (await claims.renew(store, "worker-1", [lease])).pauses == Pauses(items=found, version=2)
    for each in found:
        await lifted(store, each.scope, each.value)
    assert (await claims.renew(store, "worker-1", [lease])).pauses == Pauses(items=[], version=4)


async def test_past_its_time_limit_no_lease_is_extended(store: Store, builder: JobBuilder) -> None:
    """The wall clock of an attempt counts from its start: whoever runs on has lost the job."""
    made = await builder.running(max_run_ms=5)
    await past(store, int(await store.command("HGET", keys.job(made.job_id), "started_at")) + 5)
    await fences.refuses(store, lambda: heartbeat(store, made.job_id, made.token, made.worker), "LEASE_LOST")


async def heartbeat(store: Store, job_id: str, token: int, worker: str) -> list[list[str]]:
    """The replies alone, each cut to its word, as the other scripts give them."""
    _, _, replies, *_ = await store.run("heartbeat", [(job_id, token, 60_000)], worker=worker)
    return [[reply[0]] for reply in replies]


@pytest.mark.parametrize("case", fences.cases("heartbeat"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)
    await fences.refuses(store, lambda: heartbeat(store, made.job_id, made.token, made.worker), case.word)


@pytest.mark.damages_the_store
async def test_without_a_pause_record_it_is_an_error(store: Store, builder: JobBuilder) -> None:
    """A missing record is not "not paused"."""
    made = await builder.running()
    await store.command("DEL", keys.PAUSE)
    with pytest.raises(StoreUninitialised):
        await claims.renew(store, "worker-1", [claims.Lease(made.job_id, made.token, 1000)])
