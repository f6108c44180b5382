"""Workers that are killed, or stand still: what they ran ends, and each job ends once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sluicegate.store import Store, events, invariants, jobs
from tests.support.contents import kinds
from tests.support.job_builder import JobBuilder
from tests.support.marked import marked
from tests.support.programs import Program, Programs, Way, programs
from tests.support.wait import until

AGENT = """
import os, sys, time
print("ready", flush=True)
for _ in range(3):
    if not os.fork(): os.setsid(); time.sleep(600)
while True: print("tick", flush=True); time.sleep(0.01)
"""
"""An agent with children in sessions of their own, which goes on for ten minutes."""
COMMANDS = {"commands": [[sys.executable, "-c", AGENT], [sys.executable, "-c", "print('second')"]]}


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(store_url, tmp_path, way) as running:
        yield running


async def agent_runs(program: Program) -> list[psutil.Process]:
    """The processes that the worker has started, once the agent and its children are among them."""

    def look() -> list[psutil.Process]:
        # The worker, its two guards, the agent and three children.
        return marked(program.mark) if len(marked(program.mark)) >= 7 else []

    return await until(look, "the agent and its children run")


async def test_a_killed_workers_agent_ends_and_its_job_runs_again(
    store: Store, started: Programs, tmp_path: Path
) -> None:
    """Q-9, C-12: kill -9 in mid-command. No agent goes on beside the next attempt; the job ends once."""
    (job_id,) = await JobBuilder(store).enqueued(JobBuilder(store).submission("command", payload=COMMANDS))
    first = await started.worker("first")
    await agent_runs(first)
    folders = tmp_path / "data" / "workspaces"
    assert list(folders.glob("worker-*"))
    first.kill()
    await until(lambda: marked(first.mark) == [], "everything it started has ended", timeout=3)
    await started.sweeper()
    second = await started.worker("second")
    await until(
        lambda: _has_status(store, job_id, "succeeded"), "the job succeeds on another worker", timeout=15
    )
    lifecycle = [kind for kind in await kinds(store, job_id) if kind != "custom"]
    assert lifecycle == [
        "job.claimed", "job.lease_expired", "job.retry_scheduled", "job.claimed", "job.succeeded",
    ]  # fmt: skip
    job = await jobs.get(store, job_id)
    assert (job.attempt, job.claimed_by, job.result_summary) == (2, "second", "exit code 0")
    second.signal(signal.SIGTERM)
    assert await second.ended() == 0
    assert list(folders.glob("worker-*")) == []  # the killed one's too
    assert await invariants.check(store) == []


async def test_a_worker_that_stood_still_beyond_its_lease_writes_nothing(
    store: Store, started: Programs
) -> None:
    """Q-9: SIGSTOP, another attempt ends the job, SIGCONT: it kills what it runs, and the store is fenced."""
    make = JobBuilder(store)
    (job_id,) = await make.enqueued(make.submission("command", payload=COMMANDS))
    first = await started.worker("first")
    await agent_runs(first)
    first.signal(signal.SIGSTOP)
    await started.sweeper()
    second = await started.worker("second")
    await until(lambda: _has_status(store, job_id, "succeeded"), "the other attempt ends it", timeout=15)
    before = await events.page(store, job_id, limit=500)
    first.signal(signal.SIGCONT)
    assert (await first.said("worker.lease.lost"))["job_id"] == job_id
    await until(lambda: first.descendants() == [], "its processes have ended", timeout=3)
    first.signal(signal.SIGTERM)
    assert await first.ended() == 0
    assert await events.page(store, job_id, limit=500) == before
    assert (await jobs.get(store, job_id)).claimed_by == "second"
    assert second.lines("worker.lease.lost") == []
    assert await invariants.check(store) == []


async def test_a_worker_that_stood_still_may_get_its_own_job_back(store: Store, started: Programs) -> None:
    """It ran the job twice at a time: the first attempt was no longer in its books, and nobody ended it."""
    make = JobBuilder(store)
    (job_id,) = await make.enqueued(make.submission("command", payload=COMMANDS))
    worker = await started.worker()
    await agent_runs(worker)
    worker.signal(signal.SIGSTOP)
    await started.sweeper()
    await until(lambda: _has_status(store, job_id, "queued"), "the lease has expired", timeout=15)
    worker.signal(signal.SIGCONT)
    await until(lambda: _has_status(store, job_id, "succeeded"), "its second attempt ends it", timeout=15)
    await until(lambda: worker.descendants() == [], "the first attempt's agent has ended", timeout=3)
    assert (await jobs.get(store, job_id)).attempt == 2
    assert (await kinds(store, job_id)).count("job.succeeded") == 1


async def test_killed_services_lose_nothing(store: Store, started: Programs, tmp_path: Path) -> None:
    """kill -9 of queue_api, control and sweeper in mid-job; all state is in the store."""
    import aiohttp

    queue_api, url = await started.service("queue_api")
    control, _ = await started.service("control")
    sweeper = await started.sweeper()
    worker = await started.worker()
    go_on = tmp_path / "go on"
    async with aiohttp.ClientSession() as session:
        body = {"type": "watchful", "payload": {"until": str(go_on)}}
        async with session.post(f"{url}/api/queue/jobs", json=body) as answer:
            assert answer.status == 201
            job_id = (await answer.json())["id"]
        async with session.post(
            f"{url}/api/queue/jobs", json={"type": "small", "delaySeconds": 0.5, "payload": {}}
        ) as answer:
            later = (await answer.json())["id"]
    await until(lambda: _has_status(store, job_id, "running"), "the job runs")
    for each in (queue_api, control, sweeper):
        each.kill()
    go_on.touch()
    for each in (job_id, later):
        await until(lambda each=each: _has_status(store, each, "succeeded"), "it ends all the same")
    _, url = await started.service("queue_api")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/queue/jobs/{job_id}") as answer,
    ):
        assert (await answer.json())["resultSummary"] == "attempt 1"
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert await invariants.check(store) == []


async def _has_status(store: Store, job_id: str, status: str) -> bool:
    return (await jobs.get(store, job_id)).status == status
