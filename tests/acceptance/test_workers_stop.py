"""Workers that stop in order: jobs go on to the deadline, then back to the queue, unharmed (Q-14)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sluicegate.store import Store, invariants, jobs, pause, workers
from tests.support.contents import kinds
from tests.support.job_builder import JobBuilder
from tests.support.programs import Program, Programs, Way, programs
from tests.support.wait import until

PATIENT = {"WORKER_SHUTDOWN_SECONDS": "60", "STOP_SIGINT_GRACE_SECONDS": "60", "WORKER_LEASE_SECONDS": "30"}
IDLE_MIB = 60


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(store_url, tmp_path, way) as running:
        yield running


@pytest.fixture
def go_on(tmp_path: Path) -> Path:
    """Once it is there, the watchful job ends."""
    return tmp_path / "go on"


async def begun(store: Store, go_on: Path, kind: str = "watchful") -> str:
    """The id of a job, once its handler is at work."""
    make = JobBuilder(store)
    (job_id,) = await make.enqueued(make.submission(kind, payload={"until": str(go_on)}))

    async def look() -> bool:
        return "custom" in await kinds(store, job_id)

    await until(look, "the handler is at work")
    return job_id


async def ended_in(program: Program, seconds: float) -> None:
    assert await program.ended(seconds) == 0


async def test_a_job_may_end_before_the_deadline(store: Store, started: Programs, go_on: Path) -> None:
    worker = await started.worker(**PATIENT)
    job_id = await begun(store, go_on)
    waiting = JobBuilder(store)
    worker.signal(signal.SIGTERM)
    await worker.said("worker.stopping")
    (behind,) = await waiting.enqueued(waiting.submission("small"))
    for _ in range(5):
        assert (await jobs.get(store, job_id)).status == "running"
    go_on.touch()
    await ended_in(worker, 10)
    assert (await jobs.get(store, job_id)).status == "succeeded"
    assert (await jobs.get(store, behind)).status == "queued"  # it claims nothing more
    assert await workers.listing(store) == []


async def test_at_the_deadline_jobs_are_released_and_the_next_worker_goes_on(
    store: Store, started: Programs, go_on: Path
) -> None:
    """Q-14: queued at once, no attempt used."""
    worker = await started.worker("first", WORKER_SHUTDOWN_SECONDS="0.2")
    job_id = await begun(store, go_on)
    worker.signal(signal.SIGTERM)
    await ended_in(worker, 10)
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases, job.next_attempt_at) == ("queued", 1, 1, None)
    go_on.touch()
    await started.worker("second")
    await until(lambda: _succeeded(store, job_id), "the next worker ends it")
    assert (await jobs.get(store, job_id)).result_summary == "attempt 1"
    assert [kind for kind in await kinds(store, job_id) if kind != "custom"] == [
        "job.claimed", "job.released", "job.claimed", "job.succeeded",
    ]  # fmt: skip
    assert await invariants.check(store) == []


@pytest.mark.parametrize("kind", ["watchful", "deaf"])
async def test_asked_twice_it_releases_at_once(
    store: Store, started: Programs, go_on: Path, kind: str
) -> None:
    """70-41: without deadline and without grace, also when a handler swallows its first end."""
    worker = await started.worker(**PATIENT)
    job_id = await begun(store, go_on, kind)
    worker.signal(signal.SIGTERM)
    await worker.said("worker.stopping")
    worker.signal(signal.SIGINT)
    await ended_in(worker, 8)
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases) == ("queued", 1, 1)


async def test_asked_twice_after_the_deadline_it_waits_for_no_grace(
    store: Store, started: Programs, go_on: Path
) -> None:
    """70-41: past the deadline, in the grace of its signals, it no longer listened."""
    worker = await started.worker(**PATIENT | {"WORKER_SHUTDOWN_SECONDS": "0.1"})
    job_id = await begun(store, go_on, "deaf")
    worker.signal(signal.SIGTERM)
    await worker.said("worker.stopping")
    deadline = time.monotonic() + 0.3
    await until(lambda: time.monotonic() > deadline, "the deadline is over")
    worker.signal(signal.SIGTERM)
    await ended_in(worker, 8)
    assert (await jobs.get(store, job_id)).releases == 1


async def test_a_quiesced_job_is_released_at_once(store: Store, started: Programs, go_on: Path) -> None:
    """P-9: what waits at a checkpoint has nothing to finish; the pause outlives the worker."""
    worker = await started.worker(**PATIENT)
    job_id = await begun(store, go_on)
    await pause.change(store, action="pause", mode="quiesce", reason="disk", actor="someone")

    async def waits() -> bool:
        return (await kinds(store, job_id)).count("custom") == 2  # work.began, task.paused

    await until(waits, "the job waits at its checkpoint")
    worker.signal(signal.SIGTERM)
    await ended_in(worker, 5)
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases) == ("queued", 1, 1)
    assert (await pause.read(store)).mode == "quiesce"


async def test_an_idle_worker_is_small_and_stops_at_once(store: Store, started: Programs) -> None:
    worker = started.start("services.worker", WORKER_ID="idle", **await started.reach())
    await worker.said("worker.started")
    await until(lambda: _seen(store, "idle"), "it has announced itself")
    memory = psutil.Process(worker.process.pid).memory_info().rss / 2**20
    assert memory <= IDLE_MIB, f"{memory:.0f} MiB"
    worker.signal(signal.SIGTERM)
    await ended_in(worker, 3)


async def _succeeded(store: Store, job_id: str) -> bool:
    return (await jobs.get(store, job_id)).status == "succeeded"


async def _seen(store: Store, worker_id: str) -> bool:
    return worker_id in [each.worker_id for each in await workers.listing(store)]
