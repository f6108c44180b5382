"""expire_leases: an attempt whose lease ran out counts as failed, exactly once."""

from __future__ import annotations

import msgspec
import pytest

from sluicegate import keys
from sluicegate.store import claims, dead_letters, jobs, pause, sweeping
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents, fields, kinds
from tests.support.job_builder import JobBuilder, past


async def test_an_expired_attempt_is_retried(store: Store, builder: JobBuilder) -> None:
    """Q-9: as a retryable failure `lease_expired`, with the same backoff."""
    made = await builder.stale()
    before = await contents(store)
    assert await sweeping.expire_leases(store) == 1
    after = await contents(store)
    assert changed(before, after) == {
        f"job:{made.job_id}", f"job:{made.job_id}:events", "lane:0|work|||+w", "lanes", "leases", "delayed",
        "status:running", "status:queued", "counters", "events", f"bell:{builder.work.id}",
    }  # fmt: skip
    stored = await fields(store, made.job_id)
    assert int(stored.pop("next_attempt_at")) == int(stored.pop("updated_at")) + 50
    assert stored == {
        "status": "queued", "attempt": "2", "token": "1", "ended": "1:expire:worker-1",
        "error": "the lease of worker worker-1 expired", "failure_class": "lease_expired",
    }  # fmt: skip
    assert await kinds(store, made.job_id) == ["job.claimed", "job.lease_expired", "job.retry_scheduled"]
    assert (after["counters"]["lease_expired"], after["counters"]["retries:lease_expired"]) == ("1", "1")


async def test_the_last_attempt_is_a_dead_letter(store: Store, builder: JobBuilder) -> None:
    """Q-9, Q-8."""
    made = await builder.stale(max_attempts=1)
    assert await sweeping.expire_leases(store) == 1
    (letter,), _ = await dead_letters.listing(store)
    assert (letter.job_id, letter.failure_class) == (made.job_id, "lease_expired")
    assert (await jobs.get(store, made.job_id)).status == "dead_letter"


async def test_past_its_time_limit_a_job_fails(store: Store, builder: JobBuilder) -> None:
    """run_timeout: no retry, attempts left or not."""
    made = await builder.stale(max_run_ms=1)
    await past(store, int(await store.command("HGET", keys.job(made.job_id), "started_at")) + 1)
    assert await sweeping.expire_leases(store) == 1
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.failure_class, job.attempt) == ("failed", "run_timeout", 1)
    assert await kinds(store, made.job_id) == ["job.claimed", "job.lease_expired", "job.failed"]


@pytest.mark.parametrize("described", [{}, {"max_attempts": 1}, {"max_run_ms": 200}], ids=str)
async def test_after_a_cancel_it_ends_as_cancelled(
    store: Store, builder: JobBuilder, described: dict[str, int]
) -> None:
    """C-6: expiry, the last attempt's too, and run_timeout do not bring it back."""
    made = await builder.cancelling(**described)
    await builder.lease_over(made)
    started = int(await store.command("HGET", keys.job(made.job_id), "started_at"))
    await past(store, started + described.get("max_run_ms", 0))
    assert await sweeping.expire_leases(store) == 1
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.claimed_by) == ("cancelled", None)
    assert await dead_letters.listing(store) == ([], None)
    assert await builder.claim() == []


async def test_live_leases_are_left_alone(store: Store, builder: JobBuilder) -> None:
    await builder.running()
    await builder.waiting(type="other")
    before = await contents(store)
    assert await sweeping.expire_leases(store) == 0
    assert await contents(store) == before


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    await builder.stale()
    assert await sweeping.expire_leases(store) == 1
    before = await contents(store)
    assert await sweeping.expire_leases(store) == 0
    assert await contents(store) == before


async def test_a_late_heartbeat_keeps_the_job(store: Store, builder: JobBuilder) -> None:
    """Q-9: whichever comes first takes effect; here the heartbeat did."""
    made = await builder.stale()
    await claims.renew(store, "worker-1", [claims.Lease(made.job_id, made.token, 60_000)])
    assert await sweeping.expire_leases(store) == 0


async def test_the_longest_expired_come_first_up_to_a_limit(store: Store, builder: JobBuilder) -> None:
    made = [await builder.stale(type=f"t{at}") for at in range(5)]
    assert await sweeping.expire_leases(store, limit=2) == 2
    states = [(await jobs.get(store, each.job_id)).status for each in made]
    assert states == ["queued"] * 2 + ["running"] * 3
    assert [await sweeping.expire_leases(store, limit=2) for _ in range(3)] == [2, 1, 0]


async def test_the_jitter_of_each_is_its_own(store: Store, builder: JobBuilder) -> None:
    """Q-7: jobs of one lost worker do not come back all at once."""
    store.settings = msgspec.structs.replace(
        store.settings,
        retry_backoff_base_seconds=100,
        retry_backoff_cap_seconds=1000,
        retry_backoff_jitter=0.2,
    )
    for at in range(8):
        await builder.stale(type=f"t{at}")
    assert await sweeping.expire_leases(store) == 8
    dues = [await store.command("ZSCORE", keys.DELAYED, job_id) for job_id in await queued(store)]
    assert len(set(dues)) > 1


async def queued(store: Store) -> list[str]:
    return list(await store.command("ZRANGE", keys.status("queued"), 0, -1))


async def test_while_paused_stale_jobs_stay_visible(store: Store, builder: JobBuilder) -> None:
    """P-4, P-10."""
    await builder.stale()
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    before = await contents(store)
    assert await sweeping.expire_leases(store) is None
    assert await contents(store) == before
    counts = await jobs.counts(store)
    assert (counts.running, counts.stale_running, counts.is_drained) == (0, 1, False)
