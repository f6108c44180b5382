"""Log level info tells of the processes, not of each job: those have events of their own."""

from __future__ import annotations

import asyncio

import pytest

from sluicegate.store import Store, jobs
from sluicegate.worker.context import JobContext
from sluicegate.worker.outcome import JobFailed
from tests.services.worker.conftest import Way
from tests.support.job_builder import JobBuilder
from tests.support.wait import until


async def test_info_has_no_line_for_a_job(store: Store, way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """The worker's, and over HTTP those of queue_api too, which runs in this process."""
    caplog.set_level("INFO")
    worker = way.worker("hearing", worker_concurrency=4, worker_shutdown_seconds=0.0)

    @worker.handler("work")
    async def work(ctx: JobContext) -> None:
        await ctx.event("work.began", "Began")
        await ctx.checkpoint()
        if ctx.job.priority:
            raise JobFailed("not today", retryable=False)

    running = asyncio.create_task(worker.run(handle_signals=False))
    try:
        await until(lambda: "worker.started" in caplog.messages, "the worker works")
        caplog.clear()
        make = JobBuilder(store)
        await make.enqueued(*(make.submission(priority=-(at % 2)) for at in range(30)))

        async def ended() -> bool:
            counts = await jobs.counts(store)
            return (counts.succeeded, counts.failed) == (15, 15)

        await until(ended, "all have ended")
        # The heartbeats open a store of their own, which may say how its server is set up.
        assert [each for each in caplog.messages if not each.startswith("store.")] == []
    finally:
        worker.stop()
        await asyncio.wait([running], timeout=20)
