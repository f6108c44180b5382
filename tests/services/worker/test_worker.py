"""The worker on a real store, in this process: what it hears, and how it ends when something is wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sluicegate import keys
from sluicegate.errors import ConfigurationError, StoreUnavailable
from sluicegate.store import Store, cancellation, events, jobs, pause, sweeping, workers
from sluicegate.store.control_feed import Control
from sluicegate.worker import Worker
from sluicegate.worker.context import JobContext
from sluicegate.worker.transports import Found
from tests.services.worker.conftest import Hearing, Way
from tests.support.contents import kinds
from tests.support.job_builder import JobBuilder, Made
from tests.support.wait import until

SHORT = {"stop_sigint_grace_seconds": 0.05, "stop_sigterm_grace_seconds": 0.05}


def made(way: Way, hearing: Hearing = "hearing", **changes: Any) -> Worker:
    """A worker with one type: it looks at its controls for ever."""
    chosen = {"worker_id": "worker-1", "worker_concurrency": 1, "worker_shutdown_seconds": 0.0, **SHORT}
    worker = way.worker(hearing, **{**chosen, **changes})

    @worker.handler("work")
    async def work(ctx: JobContext) -> None:
        await ctx.event("work.began", "Began")
        while True:
            await ctx.checkpoint()
            await asyncio.sleep(0.005)

    return worker


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    running = asyncio.create_task(worker.run(handle_signals=False))
    try:
        yield running
    finally:
        worker.stop()
        await asyncio.wait([running], timeout=20)


async def begun(store: Store) -> str:
    """The id of a job, once the handler is at work."""
    job_id = (await JobBuilder(store).waiting()).job_id
    await until(lambda: _told(store, job_id, "work.began"), "the handler is at work")
    return job_id


async def _told(store: Store, job_id: str, kind: str) -> dict[str, Any] | None:
    found = await events.page(store, job_id, limit=500)
    return next((e.payload for e in found if e.payload and e.payload["kind"] == kind), None)


async def _has_status(store: Store, job_id: str, status: str) -> bool:
    return (await jobs.get(store, job_id)).status == status


async def test_a_cancel_is_heard_by_push(store: Store, way: Way) -> None:
    """C-10: long before the heartbeat, which comes every 10 s here."""
    worker = made(way)
    async with working(worker):
        job_id = await begun(store)
        await cancellation.cancel(store, job_id, actor="someone", reason="enough")
        await until(lambda: _has_status(store, job_id, "cancelled"), "it is cancelled", timeout=2)
    counted = worker.metrics_registry.get_sample_value
    counts = 1 if way.name == "redis" else 0  # over HTTP queue_api counts them
    assert counted("sluicegate_cancel_latency_seconds_count") == 1
    assert (counted("sluicegate_job_run_seconds_count", {"status": "cancelled"}) or 0) == counts
    assert (counted("sluicegate_claims_total", {"result": "jobs"}) or 0) == counts
    assert (await _told(store, job_id, "job.cancelled") or {})["receipt"]["survivors"] == []


async def test_a_cancel_may_overtake_the_answer_to_the_claim(store: Store, way: Way) -> None:
    """C-10: the push named an attempt that the worker did not know yet, and was dropped: the next heartbeat
    told it, up to 10 s later. The handler is not begun at all."""
    settings = way.settings(worker_concurrency=1)
    transport = way.transport(settings)
    claim, deliver_to = transport.claim, transport.watch
    pushed = asyncio.Event()

    async def watch(deliver: Callable[[Control], None]) -> None:
        def deliver_and_tell(control: Control) -> None:
            deliver(control)
            if control.kind == "cancel":
                pushed.set()

        await deliver_to(deliver_and_tell)

    async def claim_and_wait(*args: Any, **more: Any) -> Found:
        found = await claim(*args, **more)
        for each in found.attempts:
            await cancellation.cancel(store, each.job_id, actor="someone")
            await asyncio.wait_for(pushed.wait(), 5)
        return found

    transport.claim, transport.watch = claim_and_wait, watch  # type: ignore[method-assign]
    worker = Worker(settings, transport)
    begun: list[str] = []

    @worker.handler("work")
    async def work(ctx: JobContext) -> None:
        begun.append(ctx.job.id)

    async with working(worker):
        job_id = (await JobBuilder(store).waiting()).job_id
        await until(lambda: _has_status(store, job_id, "cancelled"), "it is cancelled", timeout=5)
    assert begun == []


async def test_a_cancel_is_heard_by_the_heartbeat_when_no_push_comes(store: Store, way: Way) -> None:
    """C-10."""
    async with working(made(way, "deaf", worker_heartbeat_seconds=0.1)):
        job_id = await begun(store)
        await cancellation.cancel(store, job_id, actor="someone", reason="enough")
        await until(lambda: _has_status(store, job_id, "cancelled"), "it is cancelled", timeout=3)


@pytest.mark.parametrize("hearing", ["hearing", "deaf"], ids=["push", "heartbeat"])
async def test_quiesce_reaches_a_worker_whose_slots_are_all_busy(
    store: Store, way: Way, hearing: Hearing
) -> None:
    """P-7: such a worker claims nothing, so no claim's reply tells it. It waits, and goes on after resume."""
    async with working(made(way, hearing, worker_heartbeat_seconds=0.1)):
        job_id = await begun(store)
        await pause.change(store, action="pause", mode="quiesce", reason="disk", actor="someone")
        told = await until(lambda: _told(store, job_id, "task.paused"), "it waits at its checkpoint", 3)
        assert told == {"kind": "task.paused", "reason": "worker_pause"}

        async def presence() -> Any:
            # None while it is too busy to be heard of.
            seen = [each for each in await workers.listing(store) if each.state == "paused_at_checkpoint"]
            return seen[0] if seen else None

        assert (await until(presence, "it says that it waits", 15)).paused_jobs == [job_id]
        await pause.change(store, action="resume", actor="someone", force=True)
        await until(lambda: _told(store, job_id, "task.resumed"), "it goes on", timeout=3)
    assert (await kinds(store, job_id)).count("job.claimed") == 1


async def test_a_worker_says_at_once_that_its_jobs_wait(store: Store, way: Way) -> None:
    """70-23, P-11: its next heartbeat is 10 s away. Until then its metrics say what is asked of whom."""
    worker = made(way, worker_concurrency=2)
    go_on = asyncio.Event()

    @worker.handler("busy")
    async def busy(ctx: JobContext) -> None:
        await ctx.event("work.began", "Began")
        await go_on.wait()
        await ctx.checkpoint()

    def pending(what: str) -> float:
        name, labels = f"sluicegate_checkpoint_pending_{what}", {"reason": "worker_pause"}
        return worker.metrics_registry.get_sample_value(name, labels) or 0

    async def says(state: str, waiting: list[str]) -> bool:
        return [(each.state, sorted(each.paused_jobs)) for each in await workers.listing(store)] == [
            (state, sorted(waiting))
        ]

    async with working(worker):
        first = await begun(store)
        second = (await JobBuilder(store).waiting(type="busy")).job_id
        await until(lambda: _told(store, second, "work.began"), "the other one is at work, too")
        await pause.change(store, action="pause", mode="quiesce", reason="disk", actor="someone")
        await until(lambda: says("paused", [first]), "one waits", timeout=3)
        assert pending("jobs") == 1
        await until(lambda: pending("seconds") > 0, "it is asked for some time")
        go_on.set()
        await until(lambda: says("paused_at_checkpoint", [first, second]), "both wait", timeout=3)
        assert (pending("jobs"), pending("seconds")) == (0, 0)
        await pause.change(store, action="resume", actor="someone", force=True)
        await until(lambda: _has_status(store, second, "succeeded"), "they go on", timeout=3)
        await until(lambda: says("busy", []), "it says so", timeout=3)


async def test_draining_lets_running_jobs_run(store: Store, way: Way) -> None:
    """P-9."""
    async with working(made(way)):
        job_id = await begun(store)
        await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
        behind = (await JobBuilder(store).waiting()).job_id
        await cancellation.cancel(store, job_id, actor="someone")  # frees the slot
        await until(lambda: _has_status(store, job_id, "cancelled"), "the slot is free")
        assert not await _told(store, job_id, "task.paused")
        await pause.change(store, action="resume", actor="someone")
        await until(lambda: _has_status(store, behind, "running"), "it claims after the resume", timeout=2)


async def test_without_the_pause_record_a_worker_claims_nothing_and_goes_on(store: Store, way: Way) -> None:
    """P-11, P-7: it does not end, and what it runs keeps its lease; it claims when the record is back."""
    async with working(made(way, worker_concurrency=2, worker_heartbeat_seconds=0.05)):
        job_id = await begun(store)
        await store.command("DEL", keys.PAUSE)
        expires = (await jobs.get(store, job_id)).lease_expires_at or ""
        behind = (await JobBuilder(store).waiting()).job_id

        async def kept() -> bool:
            return ((await jobs.get(store, job_id)).lease_expires_at or "") > expires

        await until(kept, "its heartbeats go on")
        assert (await jobs.get(store, behind)).status == "queued"
        await pause.change(store, action="resume", actor="someone")
        await until(lambda: _has_status(store, behind, "running"), "it claims", timeout=5)
    assert (await kinds(store, job_id)).count("job.claimed") == 1


async def test_a_cancel_ends_the_wait_at_a_checkpoint(store: Store, way: Way) -> None:
    async with working(made(way)):
        job_id = await begun(store)
        await pause.change(store, action="pause", mode="quiesce", reason="disk", actor="someone")
        await until(lambda: _told(store, job_id, "task.paused"), "it waits at its checkpoint")
        await cancellation.cancel(store, job_id, actor="someone")
        await until(lambda: _has_status(store, job_id, "cancelled"), "it is cancelled", timeout=2)


async def test_a_lease_that_is_anothers_ends_the_attempt_silently(store: Store, way: Way) -> None:
    """Invariant 4: nothing is written under the old token, and the slot is free again."""
    async with working(made(way, worker_heartbeat_seconds=0.1)):
        job_id = await begun(store)
        # As the sweeper does when the lease has run out; then another worker claims, and goes on.
        await store.command("HSET", f"{{sg:0}}:job:{job_id}", "token", "7", "owner", "worker-2")
        behind = (await JobBuilder(store).waiting()).job_id
        await until(lambda: _has_status(store, behind, "running"), "its slot is free", timeout=5)
    job = await jobs.get(store, job_id)
    assert (job.status, job.claimed_by) == ("running", "worker-2")
    assert "job.released" not in await kinds(store, job_id)


async def test_a_heartbeat_that_is_refused_at_the_time_limit_is_its_end(way: Way, store: Store) -> None:
    """70-52: the store counts from the claim, the worker from the claim's reply. A heartbeat between the two
    ends was taken for a lost lease: the job ran on in the books until that was over."""
    make = JobBuilder(store)
    async with working(made(way, worker_heartbeat_seconds=0.05)):
        job_id = (await make.waiting(max_run_ms=4_000)).job_id
        await until(lambda: _told(store, job_id, "work.began"), "the handler is at work")
        await store.command("HSET", keys.job(job_id), "started_at", "1")
        await until(lambda: _has_status(store, job_id, "failed"), "it has ended", timeout=3)
    assert (await jobs.get(store, job_id)).failure_class == "run_timeout"


async def test_a_job_that_comes_back_to_its_worker_runs_once_at_a_time(store: Store, way: Way) -> None:
    """A worker that stood still beyond its lease may be the next to claim the job. Its earlier attempt was
    then in nobody's books: no heartbeat told of its loss, and it went on beside the new one."""
    make = JobBuilder(store)
    at_work: list[int] = []
    worker = made(way, worker_concurrency=2)  # the next heartbeat is 10 s away

    @worker.handler("lasting")
    async def lasting(ctx: JobContext) -> None:
        at_work.append(ctx.lease_token)
        try:
            await asyncio.sleep(3600)
        finally:
            at_work.remove(ctx.lease_token)

    async with working(worker):
        job_id = (await make.waiting(type="lasting")).job_id
        await until(lambda: at_work == [1], "the first attempt is at work")

        async def lost() -> bool:
            """The worker's first heartbeat may come between the two."""
            await make.lease_over(Made(job_id, 1, "worker-1"))
            return await sweeping.expire_leases(store) == 1

        await until(lost, "the sweeper took the job")
        await until(lambda: at_work == [2], "only the second one is at work", timeout=5)
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases) == ("queued", 2, 1)


async def test_a_cancelled_worker_releases_its_jobs(store: Store, way: Way) -> None:
    """A program that ends its worker's task: attempts went on running, unknown to anybody."""
    worker = made(way, worker_shutdown_seconds=3600.0)
    running = asyncio.create_task(worker.run(handle_signals=False))
    job_id = await begun(store)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases) == ("queued", 1, 1)
    assert await workers.listing(store) == []


async def test_a_worker_that_cannot_start_says_why_and_leaves_nothing(store: Store, way: Way) -> None:
    with pytest.raises(StoreUnavailable, match="just now"):
        await made(way, "unwatchable").run(handle_signals=False)
    assert not [each for each in threading.enumerate() if each.name == "heartbeats"]
    assert list(way.settings().workspaces.glob("worker-*")) == []


async def test_types_without_a_handler_are_refused_before_anything_is_opened(way: Way) -> None:
    worker = made(way, worker_types=("work", "greet"))
    with pytest.raises(ConfigurationError, match="greet"):
        await worker.run(handle_signals=False)


async def test_a_worker_can_be_stopped_before_it_runs(store: Store, way: Way) -> None:
    waiting = await JobBuilder(store).waiting()
    worker = made(way)
    worker.stop()
    await asyncio.wait_for(worker.run(handle_signals=False), 5)
    assert await kinds(store, waiting.job_id) == []


async def test_a_job_gets_its_workspace_and_loses_it(store: Store, way: Way) -> None:
    places = []
    worker = made(way)

    @worker.handler("files")
    async def files(ctx: JobContext) -> str:
        (ctx.workspace / "clone").mkdir()
        places.append(ctx.workspace)
        return "made"

    async with working(worker):
        job: Made = await JobBuilder(store).waiting(type="files")
        await until(lambda: _has_status(store, job.job_id, "succeeded"), "it succeeds")
        await until(lambda: not places[0].exists(), "its folder is gone")
