"""figures: exact numbers of one moment."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.model import Counts
from sluicegate.store import figures, jobs
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, now_ms
from tests.transitions.test_pause_some import lifted, paused


async def test_each_job_is_counted_once(store: Store, builder: JobBuilder) -> None:
    """P-10: queued without delayed, running and stale apart, read without changing anything."""
    for state in builder.by_state:
        await builder.made(state, type=f"{state}-1")
        await builder.made(state, type=f"{state}-2")
    before = await contents(store)
    assert await jobs.counts(store) == Counts(
        queued=4, delayed=2, running=4, stale_running=2, succeeded=2, failed=2, cancelled=2, dead_letter=2
    )
    assert await contents(store) == before


async def test_what_is_due_is_queued(store: Store, builder: JobBuilder) -> None:
    """P-10: claimable now, promoted or not."""
    made = await builder.delayed(delay_ms=1)
    await builder.until_due(made)
    found = await figures.read(store)
    assert (found.counts.queued, found.counts.delayed, found.due) == (1, 0, 1)


async def test_drained_is_nothing_running_nor_stale(store: Store, builder: JobBuilder) -> None:
    """P-10."""
    await builder.waiting()
    assert (await jobs.counts(store)).is_drained
    made = await builder.running(type="other")
    assert not (await jobs.counts(store)).is_drained
    await builder.lease_over(made)
    assert not (await jobs.counts(store)).is_drained


async def test_the_oldest_waits_since_then(store: Store, builder: JobBuilder) -> None:
    """Q-12: by band of priority, whatever lane and priority it has within the band."""
    first = await builder.waiting(priority=1)
    created = int(await store.command("HGET", keys.job(first.job_id), "created_at"))
    await builder.waiting(priority=500)
    await builder.waiting(priority=-7)
    found = await figures.read(store)
    oldest = found.oldest_waiting_ms
    assert oldest["normal"] is None
    assert oldest["high"] is not None
    assert abs(found.now_ms - oldest["high"] - created) <= 5
    assert oldest["low"] is not None
    assert found.now_ms <= await now_ms(store)


async def test_narrower_pauses_are_counted_by_scope(store: Store, builder: JobBuilder) -> None:
    """P-12: those in force."""
    for value in ("a", "b"):
        await paused(store, "type", value)
    await paused(store, "worker", "w1")
    await paused(store, "capability", "gpu")
    await lifted(store, "capability", "gpu")
    assert (await figures.read(store)).narrow_pauses == {
        "type": 2, "repository": 0, "capability": 0, "worker": 1,
    }  # fmt: skip


async def test_totals_count_what_happened(store: Store, builder: JobBuilder) -> None:
    for state in ("succeeded", "failed", "cancelled", "dead_letter", "returned"):
        await builder.made(state, type=state)
    found = await figures.read(store)
    assert found.counters == {
        "enqueued": 5, "claimed": 5, "finished:succeeded": 1, "finished:failed": 1, "finished:cancelled": 1,
        "finished:dead_letter": 1, "dead_letters:failure": 1, "cancel_requests": 1, "retries:release": 1,
    }  # fmt: skip
    assert (found.lanes, found.dead_letter_entries) == (1, 1)
