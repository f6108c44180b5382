"""A cancel that meets an attempt's own end: one outcome, on both of the worker's ways to the queue (C-6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sluicegate.store import Store, cancellation, events, jobs, pause, shelves
from sluicegate.worker import JobCancelled, JobContext, JobFailed
from tests.services.worker.conftest import Hearing, Way
from tests.services.worker.test_worker import SHORT, working
from tests.support.contents import kinds
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

End = Callable[[JobContext], Awaitable[str | None]]


async def succeeds(ctx: JobContext) -> str:
    return "done"


async def fails(ctx: JobContext) -> None:
    raise JobFailed("the network is down")


async def fails_for_good(ctx: JobContext) -> None:
    raise JobFailed("no use", retryable=False, failure_class="broken")


async def breaks(ctx: JobContext) -> None:
    raise RuntimeError("a defect")


async def looks(ctx: JobContext) -> None:
    await ctx.checkpoint()


async def looks_for_ever(ctx: JobContext) -> None:
    while True:
        await ctx.checkpoint()
        await asyncio.sleep(0.005)


async def lasts(ctx: JobContext) -> None:
    await asyncio.sleep(3600)


async def ended(
    store: Store, way: Way, hearing: Hearing, end: End, *, stop: bool = False, **described: Any
) -> tuple[Any, list[str], dict[str, Any]]:
    """A job whose handler meets a cancel and then ends so: the job, the kinds and the last of its events."""
    worker = way.worker(hearing, worker_concurrency=1, worker_shutdown_seconds=0.0 if stop else 20.0, **SHORT)
    begun, go_on = asyncio.Event(), asyncio.Event()

    @worker.handler("work")
    async def work(ctx: JobContext) -> str | None:
        begun.set()
        await go_on.wait()
        return await end(ctx)

    async with working(worker):
        job_id = (await JobBuilder(store).waiting(**described)).job_id
        await asyncio.wait_for(begun.wait(), 10)
        await cancellation.cancel(store, job_id, actor="ann", reason="enough")
        if hearing == "hearing":
            await until(lambda: _heard(worker), "the worker has heard it")
        go_on.set()
        if stop:
            worker.stop()
        await until(lambda: _terminal(store, job_id), "it has ended", timeout=10)
    last = (await events.page(store, job_id, limit=500))[-1]
    return await jobs.get(store, job_id), await kinds(store, job_id), last.payload or {}


def _heard(worker: Any) -> float:
    return float(worker.metrics_registry.get_sample_value("sluicegate_cancel_latency_seconds_count") or 0)


async def _terminal(store: Store, job_id: str) -> bool:
    return (await jobs.get(store, job_id)).terminal


async def test_a_result_comes_before_the_worker_noticed(store: Store, way: Way) -> None:
    """C-6: it wins, and the events show that the request came too late."""
    job, told, _ = await ended(store, way, "unaware", succeeds)
    assert (job.status, job.result_summary, job.cancel_requested_by_user_id) == ("succeeded", "done", "ann")
    assert told == ["job.claimed", "job.cancel.requested", "job.cancel.too_late", "job.succeeded"]


@pytest.mark.parametrize("hearing", ["unaware", "hearing"])
@pytest.mark.parametrize("end", [fails, breaks])
async def test_a_failure_brings_nothing_back(store: Store, way: Way, hearing: Hearing, end: End) -> None:
    """C-6, C-11: retryable, so that there were attempts left. Who has heard acknowledges, and reports no
    failure; who has not ends it by failing."""
    job, told, last = await ended(store, way, hearing, end, max_attempts=5)
    assert (job.status, job.attempt) == ("cancelled", 1)
    assert told == ["job.claimed", "job.cancel.requested", "job.cancelled"]
    assert ("receipt" in last) == (hearing == "hearing")
    assert (last["cancelRequestedByUserId"], last["cancelReason"]) == ("ann", "enough")


@pytest.mark.parametrize("hearing", ["unaware", "hearing"])
async def test_a_failure_for_good_stays_one(store: Store, way: Way, hearing: Hearing) -> None:
    """C-6."""
    job, told, _ = await ended(store, way, hearing, fails_for_good)
    assert (job.status, job.failure_class, told[-1]) == ("failed", "broken", "job.failed")


async def test_a_release_brings_nothing_back(store: Store, way: Way) -> None:
    """C-6, Q-14: the worker is stopped before it has heard."""
    job, told, last = await ended(store, way, "unaware", looks_for_ever, stop=True)
    assert (job.status, job.releases, told[-1]) == ("cancelled", 1, "job.cancelled")
    assert "receipt" not in last


@pytest.mark.slow
async def test_the_time_limit_brings_nothing_back(store: Store, way: Way) -> None:
    """C-6, 70-52: run_timeout is no retryable failure, and ends as cancelled all the same."""
    job, told, _ = await ended(store, way, "unaware", lasts, max_run_ms=3_000)
    assert (job.status, told[-1]) == ("cancelled", "job.cancelled")
    assert job.failure_class == "run_timeout"


async def test_heard_first_the_time_limit_changes_nothing(store: Store, way: Way) -> None:
    """C-11, 70-52: it is acknowledged."""
    job, _, last = await ended(store, way, "hearing", lasts, max_run_ms=3_000)
    assert (job.status, job.failure_class) == ("cancelled", None)
    assert last["receipt"]["survivors"] == []


async def test_the_checkpoint_obeys(store: Store, way: Way) -> None:
    """C-11: the next one that comes."""
    job, told, last = await ended(store, way, "hearing", looks)
    assert (job.status, job.claimed_by, job.lease_expires_at) == ("cancelled", None, None)
    assert last["receipt"]["requestedAt"] == job.cancel_requested_at
    assert told == ["job.claimed", "job.cancel.requested", "job.cancelled"]


async def test_what_was_kept_before_the_end_is_there(store: Store, way: Way) -> None:
    """C-11: it uploads what it has, and then acknowledges."""

    async def keeps(ctx: JobContext) -> None:
        try:
            await ctx.checkpoint()
        except JobCancelled:
            await ctx.artifact("partial.txt", b"half of it")
            await ctx.event("work.kept", "Kept")
            raise

    job, told, last = await ended(store, way, "hearing", keeps)
    assert job.status == "cancelled"
    assert told[-2:] == ["custom", "job.cancelled"]
    assert last["receipt"]["survivors"] == []
    assert [each.name for each in await shelves.artifacts(store, job.id)] == ["partial.txt"]


@pytest.mark.parametrize("mode", ["drain", "quiesce"])
async def test_a_pause_holds_no_cancel_up(store: Store, way: Way, mode: Any) -> None:
    """C-13, P-4: while paused the running one is asked and ends, the waiting one ends at once."""
    worker = way.worker(worker_concurrency=1, worker_shutdown_seconds=0.0, **SHORT)
    begun = asyncio.Event()

    @worker.handler("work")
    async def work(ctx: JobContext) -> None:
        begun.set()
        await looks_for_ever(ctx)

    async with working(worker):
        running = (await JobBuilder(store).waiting()).job_id
        await asyncio.wait_for(begun.wait(), 10)
        waiting = (await JobBuilder(store).waiting()).job_id
        await pause.change(store, action="pause", mode=mode, reason="upgrade", actor="bob")
        assert (await cancellation.cancel(store, waiting, actor="ann")).status == "cancelled"
        await cancellation.cancel(store, running, actor="ann")
        await until(lambda: _terminal(store, running), "it is cancelled", timeout=5)
        assert (await jobs.get(store, running)).status == "cancelled"
        await pause.change(store, action="resume", actor="bob", force=True)
    counts = await jobs.counts(store)
    assert (counts.cancelled, counts.queued, counts.running) == (2, 0, 0)
