"""An operator's control reaches the run: by push, by heartbeat alone, and with the claim, on both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sluicegate.model import LiveControl
from sluicegate.store import Store, cancellation, controls, events, jobs, pause, workers
from sluicegate.store.controls import Request
from sluicegate.worker import Worker
from sluicegate.worker.context import JobContext
from tests.services.worker.conftest import Hearing, Way
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

RETRY = {"action": "retry_step", "stepId": "a", "requestedByUserId": "ann"}
HEARD = pytest.mark.parametrize("hearing", ["hearing", "deaf"], ids=["push", "heartbeat"])


def made(way: Way, hearing: Hearing, **changes: Any) -> Worker:
    """A worker whose jobs look at their controls for ever, and answer what is asked of their steps."""
    beat = 0.1 if hearing == "deaf" else 10.0
    chosen = {"worker_id": "worker-1", "worker_concurrency": 1, "worker_shutdown_seconds": 0.0}
    worker = way.worker(hearing, **{**chosen, "worker_heartbeat_seconds": beat, **changes})

    @worker.handler("work")
    async def work(ctx: JobContext) -> None:
        await ctx.event("work.began", "Began")
        while True:
            await ctx.checkpoint()
            if (recovery := ctx.recovery) is not None:
                await ctx.acknowledge(recovery, "as asked")
            if (summary := ctx.summary) is not None:
                await ctx.event("work.told", summary.text)
                await ctx.passed_on(summary)
            await asyncio.sleep(0.005)

    return worker


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    running = asyncio.create_task(worker.run(handle_signals=False))
    try:
        yield
    finally:
        worker.stop()
        await asyncio.wait([running], timeout=20)


async def ask(store: Store, job_id: str, action: Any, **fields: Any) -> None:
    await controls.request(
        store, job_id, Request(**{"action": action, "actor": "ann", "metadata": {}, **fields})
    )


async def told(store: Store, job_id: str, kind: str) -> list[dict[str, Any]]:
    """The payloads of the job's events of this kind."""
    found = await events.page(store, job_id, limit=500)
    return [event.payload for event in found if event.payload and event.payload["kind"] == kind]


async def begun(store: Store) -> str:
    job_id = (await JobBuilder(store).waiting()).job_id
    await until(lambda: told(store, job_id, "work.began"), "the handler is at work")
    return job_id


async def live(store: Store, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await jobs.get(store, job_id)).payload["liveControl"]
    return found


@HEARD
async def test_a_pause_and_its_end_reach_the_run(store: Store, way: Way, hearing: Hearing) -> None:
    """L-5, C-10: long before the heartbeat by push; by the heartbeat when no push comes."""
    async with working(made(way, hearing)):
        job_id = await begun(store)
        await ask(store, job_id, "pause")
        await until(lambda: told(store, job_id, "task.paused"), "it waits", timeout=3)
        assert await told(store, job_id, "task.paused") == [{"kind": "task.paused", "reason": "operator"}]
        (log,) = await told(store, job_id, "log")
        assert "== PAUSED FOR OPERATOR ==" in log["text"]
        await ask(store, job_id, "resume")
        await until(lambda: told(store, job_id, "task.resumed"), "it goes on", timeout=3)
    assert len(await told(store, job_id, "job.claimed")) == 1


@HEARD
async def test_a_takeover_keeps_the_lease_and_a_summary_comes_back(
    store: Store, way: Way, hearing: Hearing
) -> None:
    """L-9: the lease goes on while a person works; what they say reaches the handler once."""
    worker = made(way, hearing, worker_lease_seconds=1.0, worker_heartbeat_seconds=0.1)
    async with working(worker):
        job_id = await begun(store)
        await ask(store, job_id, "takeover")
        await until(lambda: told(store, job_id, "task.paused"), "it is theirs", timeout=3)
        first = (await jobs.get(store, job_id)).lease_expires_at

        async def longer() -> bool:
            return (await jobs.get(store, job_id)).lease_expires_at > first  # type: ignore[operator]

        await until(longer, "the lease goes on")
        await ask(store, job_id, "resume", summary="fixed it")
        await until(lambda: told(store, job_id, "work.told"), "the handler is told", timeout=3)

        async def used() -> bool:
            return "summary" not in await live(store, job_id)

        await until(used, "it is kept no longer")
    assert len(await told(store, job_id, "work.told")) == 1


@HEARD
async def test_a_request_for_a_step_reaches_the_handler(store: Store, way: Way, hearing: Hearing) -> None:
    """H-10: pushed, answered, cleared. H-9: not while the run is paused."""
    async with working(made(way, hearing)):
        job_id = await begun(store)
        await ask(store, job_id, "pause")
        await until(lambda: told(store, job_id, "task.paused"), "it waits", timeout=3)
        await ask(store, job_id, "retry_step", recovery=RETRY)
        await ask(store, job_id, "resume")
        await until(lambda: told(store, job_id, "task.control.recovery.ack"), "it is answered", timeout=3)
        assert "recovery" not in await live(store, job_id)
    found = [(event.payload or {})["kind"] for event in await events.page(store, job_id)]
    assert found.index("task.resumed") < found.index("task.control.recovery.ack")
    (ack,) = await told(store, job_id, "task.control.recovery.ack")
    assert ack.items() >= {"stepId": "a", "workerId": "worker-1", "message": "as asked"}.items()


async def test_a_run_that_was_held_while_it_waited_starts_held(store: Store, way: Way) -> None:
    """70-24: the claim tells; nothing else would for ten seconds."""
    job_id = (await JobBuilder(store).waiting()).job_id
    await ask(store, job_id, "pause", hard=True)
    async with working(made(way, "deaf", worker_heartbeat_seconds=10.0)):
        await until(lambda: told(store, job_id, "task.paused"), "it waits", timeout=5)


async def test_a_held_run_of_a_worker_that_stops_is_held_on_the_next(store: Store, way: Way) -> None:
    """L-5: released at once, though the worker would have waited; no attempt is used."""
    async with working(made(way, "hearing", worker_shutdown_seconds=3600.0)):
        job_id = await begun(store)
        await ask(store, job_id, "pause")
        await until(lambda: told(store, job_id, "task.paused"), "it waits")
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases) == ("queued", 1, 1)
    async with working(made(way, "deaf", worker_id="worker-2")):

        async def twice() -> bool:
            return len(await told(store, job_id, "task.paused")) == 2

        await until(twice, "it waits there too")
    assert len(await told(store, job_id, "task.resumed")) == 0


@HEARD
async def test_a_cancel_goes_before_a_pause(store: Store, way: Way, hearing: Hearing) -> None:
    """H-9."""
    async with working(made(way, hearing)):
        job_id = await begun(store)
        await ask(store, job_id, "takeover")
        await until(lambda: told(store, job_id, "task.paused"), "it waits", timeout=3)
        await cancellation.cancel(store, job_id, actor="ann")
        await until(lambda: told(store, job_id, "job.cancelled"), "it has ended", timeout=3)


async def test_a_resume_does_not_end_a_quiesce(store: Store, way: Way) -> None:
    """Each hold has its own end."""
    async with working(made(way, "hearing")):
        job_id = await begun(store)
        await pause.change(store, action="pause", mode="quiesce", reason="disk", actor="someone")
        await ask(store, job_id, "pause")

        async def both() -> bool:
            reasons = {each["reason"] for each in await told(store, job_id, "task.paused")}
            return reasons == {"operator", "worker_pause"}

        await until(both, "both hold it")
        await ask(store, job_id, "resume")
        await until(lambda: told(store, job_id, "task.resumed"), "one has ended")
        assert await told(store, job_id, "task.resumed") == [{"kind": "task.resumed", "reason": "operator"}]
        await pause.change(store, action="resume", actor="someone", force=True)

        async def gone_on() -> bool:
            return len(await told(store, job_id, "task.resumed")) == 2

        await until(gone_on, "it goes on")


async def test_a_worker_says_which_of_its_jobs_wait(store: Store, way: Way) -> None:
    """70-23."""
    worker = made(way, "hearing", worker_concurrency=2, worker_heartbeat_seconds=0.1)
    async with working(worker):
        held, other = await begun(store), await begun(store)
        await ask(store, held, "pause")

        async def says(state: str, *paused: str) -> bool:
            seen = [(each.state, set(each.paused_jobs)) for each in await workers.listing(store)]
            return seen == [(state, set(paused))]

        await until(lambda: says("busy", held), "one of two waits")
        await ask(store, other, "pause")
        await until(lambda: says("paused_at_checkpoint", held, other), "both wait")
        await ask(store, held, "resume")
        await until(lambda: says("busy", other), "one goes on")


async def test_a_push_brings_the_newest_controls_with_their_version(store: Store, way: Way) -> None:
    """So that a heartbeat that was answered before, and comes after, is known to be old."""
    transport = way.transport(way.settings())
    await transport.open()
    try:
        await JobBuilder(store).waiting()
        found = await transport.claim(
            JobBuilder(store).work, lease_ms=30_000, limit=1, request_id="r", wait_seconds=0
        )
        (attempt,) = found.attempts
        assert attempt.live_control is None
        await ask(store, attempt.job_id, "pause")
        heard: list[LiveControl | None] = []
        await transport.watch(lambda control: heard.append(control.live_control))
        await ask(store, attempt.job_id, "resume")
        pushed = await until(lambda: [each for each in heard if each], "the push")
        assert [(each.paused, each.version) for each in pushed if each] == [(False, 2)]
    finally:
        await transport.close()
