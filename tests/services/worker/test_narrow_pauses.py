"""A worker on both ways under the narrower pauses: its jobs wait at a checkpoint, or it gets none (P-12)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sluicegate.model import PauseScope, Policy
from sluicegate.store import Store, claims, events, narrow_pauses
from sluicegate.worker import Worker
from sluicegate.worker.context import JobContext
from tests.services.worker.conftest import Hearing, Way
from tests.services.worker.test_worker import working
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

COVERED: dict[PauseScope, str] = {
    "type": "work", "repository": "github.com/acme/a", "capability": "gpu", "worker": "worker-1",
}  # fmt: skip


def made(way: Way, hearing: Hearing, concurrency: int = 2) -> Worker:
    """A worker whose handlers look at their controls for ever."""
    worker = way.worker(
        hearing, worker_id="worker-1", worker_concurrency=concurrency, worker_shutdown_seconds=0.0,
        worker_heartbeat_seconds=0.1, pause_poll_interval_ms=100, worker_capabilities=("gpu",),
        stop_sigint_grace_seconds=0.05, stop_sigterm_grace_seconds=0.05,
    )  # fmt: skip

    async def work(ctx: JobContext) -> None:
        await ctx.event("work.began", "Began")
        while True:
            await ctx.checkpoint()
            await asyncio.sleep(0.005)

    for job_type in ("work", "other"):
        worker.handler(job_type)(work)
    return worker


async def told(store: Store, job_id: str, kind: str) -> bool:
    page = await events.page(store, job_id, limit=500)
    return any((event.payload or {}).get("kind") == kind for event in page)


async def change(store: Store, action: Any, scope: PauseScope, mode: Any = "quiesce") -> None:
    await narrow_pauses.change(
        store, scope=scope, value=COVERED[scope], action=action, mode=mode, reason="repair", actor="ann"
    )


@pytest.mark.parametrize("hearing", ["hearing", "deaf"], ids=["push", "heartbeat"])
@pytest.mark.parametrize("scope", COVERED)
async def test_jobs_wait_at_their_checkpoint_and_go_on(
    store: Store, way: Way, hearing: Hearing, scope: PauseScope
) -> None:
    """P-7, P-12: those that the quiesce covers, and no others; they keep their lease."""
    make = JobBuilder(store)
    async with working(made(way, hearing)):
        held = await make.waiting(repository="github.com/acme/a", capabilities=("gpu",))
        free = await make.waiting(type="other")
        for each in (held, free):
            await until(lambda: told(store, each.job_id, "work.began"), "it is at work")  # noqa: B023
        await change(store, "pause", scope)
        await until(lambda: told(store, held.job_id, "task.paused"), "it waits at its checkpoint")
        if scope != "worker":
            assert not await told(store, free.job_id, "task.paused")
        await change(store, "resume", scope)
        await until(lambda: told(store, held.job_id, "task.resumed"), "it goes on")


@pytest.mark.parametrize("hearing", ["hearing", "deaf"], ids=["push", "poll"])
async def test_a_paused_worker_takes_nothing_and_takes_no_bell(
    store: Store, way: Way, hearing: Hearing
) -> None:
    """P-12: another one with the same policy gets each job; after the resume this one does."""
    make = JobBuilder(store)
    policy = Policy(types=("other", "work"), capabilities=("gpu",))
    await change(store, "pause", "worker", "drain")
    async with working(made(way, hearing)):
        for _ in range(5):
            waiting = await make.waiting()
            await asyncio.sleep(0.05)
            (job,) = (
                await claims.claim(
                    store, policy, worker_id="worker-2", lease_ms=60_000, limit=1, request_id=waiting.job_id
                )
            ).jobs
            assert job.id == waiting.job_id
        last = await make.waiting()
        await change(store, "resume", "worker")
        await until(lambda: told(store, last.job_id, "work.began"), "it has a job")
