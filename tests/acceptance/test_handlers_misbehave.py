"""Handlers that do what they should not: their worker keeps its leases, its limits and its other jobs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.store import Store, cancellation, events, jobs
from tests.support.contents import kinds
from tests.support.job_builder import JobBuilder
from tests.support.marked import marked
from tests.support.programs import Programs, Way, programs
from tests.support.wait import until

TREE = "import os, time; os.fork(); os.fork(); print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(store_url, tmp_path, way) as running:
        yield running


async def test_a_handler_that_blocks_the_loop_keeps_its_lease(store: Store, started: Programs) -> None:
    """DESIGN 6: heartbeats have a thread of their own; the lease is a third as long as the blockade."""
    make = JobBuilder(store)
    (job_id,) = await make.enqueued(make.submission("blocking", payload={"seconds": 3.0}))
    await started.sweeper()
    worker = await started.worker()
    await until(lambda: _has_status(store, job_id, "succeeded"), "the job succeeds", timeout=15)
    assert await kinds(store, job_id) == ["job.claimed", "job.succeeded"]
    assert worker.lines("worker.lease.lost") == []


@pytest.mark.slow
async def test_a_handler_that_never_looks_is_ended_after_the_grace(store: Store, started: Programs) -> None:
    """C-11: also when it swallows the first end; its worker goes on."""
    make = JobBuilder(store)
    (job_id,) = await make.enqueued(make.submission("deaf"))
    await started.worker(WORKER_CONCURRENCY="1")

    async def begun() -> bool:
        return "custom" in await kinds(store, job_id)

    await until(begun, "the handler is at work")
    asked = time.monotonic()
    await cancellation.cancel(store, job_id, actor="someone", reason="enough")
    await until(lambda: _has_status(store, job_id, "cancelled"), "it is cancelled", timeout=10)
    assert time.monotonic() - asked > 0.2  # the graces of the two signals
    cancelled = (await events.page(store, job_id))[-1]
    assert cancelled.payload and cancelled.payload["kind"] == "job.cancelled"
    assert cancelled.payload["receipt"]["survivors"] == []
    assert "job.failed" not in await kinds(store, job_id)
    (behind,) = await make.enqueued(make.submission("small"))
    await until(lambda: _has_status(store, behind, "succeeded"), "its slot is free again")


@pytest.mark.slow
async def test_the_time_limit_ends_the_job_and_its_processes(store: Store, started: Programs) -> None:
    """70-52: failed with class run_timeout, no retry, though a heartbeat past the limit is refused."""
    make = JobBuilder(store)
    payload = {"commands": [[sys.executable, "-c", "import signal; signal.signal(2, 1)\n" + TREE]]}
    (job_id,) = await make.enqueued(make.submission("command", payload=payload, max_run_ms=3000))
    worker = await started.worker(
        WORKER_HEARTBEAT_SECONDS="0.05", WORKER_LEASE_SECONDS="60", STOP_SIGINT_GRACE_SECONDS="0.5"
    )
    await until(lambda: len(marked(worker.mark)) >= 7, "the tree stands")
    # Nobody sweeps: it is the worker that ends it, long before the lease is over.
    await until(lambda: _has_status(store, job_id, "failed"), "it is ended", timeout=10)
    job = await jobs.get(store, job_id)
    assert (job.failure_class, job.attempt, job.next_attempt_at) == ("run_timeout", 1, None)
    assert worker.descendants() == []
    assert worker.lines("worker.lease.lost") == []


@pytest.mark.slow
async def test_a_flood_of_odd_output_harms_nobody(store: Store, started: Programs) -> None:
    """Q-6: control characters and no text at all, far past the log's limits; the queue stays small."""
    make = JobBuilder(store)
    code = "import os\nfor _ in range(60): os.write(1, bytes(range(256)) * 256)"
    payload = {"commands": [[sys.executable, "-c", code]]}
    (job_id,) = await make.enqueued(make.submission("command", payload=payload))
    started.settings["JOB_LOG_MAX_BYTES"] = "200000"
    await started.worker()
    await until(lambda: _has_status(store, job_id, "succeeded"), "the job succeeds", timeout=30)
    found = await events.page(store, job_id, limit=500)
    logs = [event for event in found if event.payload and event.payload["kind"] == "log"]
    assert 50_000 < sum(len(event.payload["text"]) for event in logs if event.payload) < 200_000
    names = [event.payload["kind"] for event in found if event.payload]
    assert names.count("events.truncated") == 1
    assert (await jobs.get(store, job_id)).result_summary == "exit code 0"


async def _has_status(store: Store, job_id: str, status: str) -> bool:
    return (await jobs.get(store, job_id)).status == status
