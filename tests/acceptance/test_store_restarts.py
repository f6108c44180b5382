"""The store is killed and comes back: services say so meanwhile, workers find it again, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from sluicegate.dev.embedded_store import EmbeddedStore
from sluicegate.errors import StoreError
from sluicegate.model import SystemState
from sluicegate.settings import Settings
from sluicegate.store import Store, events, invariants, jobs, pause
from tests.support.job_builder import JobBuilder
from tests.support.programs import Program, Programs, Way, programs
from tests.support.wait import until


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """A store that the test may kill. It writes what it does to a file, as `dev`'s does."""
    with EmbeddedStore(tmp_path / "store", persistent=True) as server:
        yield server


@pytest.fixture
def started(valkey: EmbeddedStore, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(valkey.url, tmp_path, way) as running:
        yield running


@pytest.fixture
async def store(valkey: EmbeddedStore, settings: Settings) -> AsyncIterator[Store]:
    opened = await Store.open(msgspec.structs.replace(settings, redis_url=valkey.url))
    yield opened
    await opened.close()


async def enqueued(store: Store, count: int, *kinds: str) -> list[str]:
    make = JobBuilder(store)
    submissions = [make.submission(kinds[number % len(kinds)], max_attempts=20) for number in range(count)]
    return await make.enqueued(*submissions)


async def succeeded_once(store: Store, job_ids: list[str]) -> None:
    """Each job has succeeded, by one accepted completion."""
    for job in await jobs.read(store, job_ids):
        assert job is not None and job.status == "succeeded", job
    for job_id in job_ids:
        names = Counter(
            event.payload["kind"] for event in await events.page(store, job_id, limit=500) if event.payload
        )
        assert names["job.succeeded"] == 1, (job_id, names)
    assert await invariants.check(store) == []


@pytest.mark.slow
async def test_a_store_that_is_killed_loses_nothing(
    store: Store, started: Programs, valkey: EmbeddedStore
) -> None:
    """503 `store_unavailable` meanwhile; workers and sweeper reconnect by themselves; each job ends once."""
    api, url = await started.service("queue_api")  # beside the one of workers over HTTP
    sweeper = await started.sweeper()
    workers = [await started.worker(f"worker-{number}") for number in range(2)]
    job_ids = await enqueued(store, 1500, "small")
    await until(lambda: _succeeded(store, 100), "jobs are being done")
    valkey.kill()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/queue/jobs/{job_ids[0]}") as answer,
    ):
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    await workers[0].said("worker.heartbeat.failed")
    valkey.start()
    more = await enqueued(store, 10, "small")
    await until(lambda: _succeeded(store, 1510), "all jobs have ended", timeout=40)
    await succeeded_once(store, job_ids + more)
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        assert answer.status == 200
    for each in (api, sweeper, *workers):
        assert each.process.poll() is None
        each.signal(signal.SIGTERM)
    assert [await each.ended() for each in (api, sweeper, *workers)] == [0] * 4


async def test_a_job_goes_on_while_the_store_is_away(
    store: Store, started: Programs, valkey: EmbeddedStore, tmp_path: Path
) -> None:
    """An outage costs time, not an attempt: what the job says and how it ends waits for the store."""
    make = JobBuilder(store)
    script = f"echo before; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo after"
    payload = {"commands": [["sh", "-c", script]]}
    (job_id,) = await make.enqueued(make.submission("command", payload=payload))
    worker = await started.worker(WORKER_LEASE_SECONDS="30")
    await until(lambda: _said(store, job_id, "before\n"), "the command runs")
    valkey.kill()
    (tmp_path / "go").touch()
    await worker.said("worker.store.away")
    valkey.start()
    await until(lambda: _succeeded(store, 1), "the job has ended", timeout=15)
    assert await _said(store, job_id, "before\nafter\n")
    assert (await jobs.get(store, job_id)).attempt == 1
    await succeeded_once(store, [job_id])


async def test_a_pause_outlives_the_store(store: Store, started: Programs, valkey: EmbeddedStore) -> None:
    """P-1, P-2, P-7: kill -9 of the store while quiesced. Nobody takes the outage for a resume: a job at its
    checkpoint waits on, a worker with a free slot claims nothing, and the next version is a new one."""
    make = JobBuilder(store)
    worker = await started.worker(WORKER_LEASE_SECONDS="3", PAUSE_POLL_INTERVAL_MS="50")
    (waiting,) = await make.enqueued(make.submission("watchful", payload={"until": "/nowhere"}))
    await until(lambda: _told(store, waiting, "work.began"), "the handler is at work")
    paused = await pause.change(store, action="pause", mode="quiesce", reason="the store", actor="ann")
    await until(lambda: _told(store, waiting, "task.paused"), "it waits")
    (behind,) = await enqueued(store, 1, "small")
    valkey.kill()
    await worker.said("worker.claim.failed")
    valkey.start()
    assert await until(lambda: _read(store), "the store answers") == paused
    expires = (await jobs.get(store, waiting)).lease_expires_at or ""

    async def renewed() -> bool:
        return ((await jobs.get(store, waiting)).lease_expires_at or "") > expires

    await until(renewed, "the worker is back; it claims every 50 ms")
    assert (await jobs.get(store, behind)).status == "queued"
    assert not await _told(store, waiting, "task.resumed")
    resumed = await pause.change(store, action="resume", actor="ann", force=True)
    assert resumed.version > paused.version
    await until(lambda: _told(store, waiting, "task.resumed"), "it goes on", timeout=20)
    await until(lambda: _succeeded(store, 1), "the other one runs", timeout=20)
    assert (await jobs.get(store, waiting)).attempt == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_chaos(store: Store, started: Programs, valkey: EmbeddedStore) -> None:
    """2,000 jobs, three workers killed -9 twenty times, the store once: each job succeeds exactly once.

    With attempts enough: a job that comes back goes first, so chance may let it meet three of the kills.
    """
    dice = random.Random(2000)
    await started.sweeper()
    workers: list[Program] = [await started.worker(f"worker-{number}") for number in range(3)]
    job_ids: list[str] = []
    for kill in range(20):
        job_ids += await enqueued(store, 100, "small", "brief")
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        if kill == 10:
            valkey.kill()
            await asyncio.sleep(0.5)
            valkey.start()
        victim = dice.randrange(3)
        workers[victim].kill()
        workers[victim] = await started.worker(f"worker-{kill}-{victim}")
    assert len(job_ids) == 2000
    await until(lambda: _only_succeeded(store, 2000), "all jobs have succeeded", timeout=120)
    await succeeded_once(store, job_ids)
    counts = await jobs.counts(store)
    assert (counts.queued, counts.delayed, counts.running, counts.stale_running) == (0, 0, 0, 0)


async def _only_succeeded(store: Store, count: int) -> bool:
    """Once this many have; the counts are shown at the first that ended otherwise."""
    counts = await jobs.counts(store)
    assert counts.failed == counts.cancelled == counts.dead_letter == 0, counts
    return counts.succeeded >= count


async def _succeeded(store: Store, count: int) -> bool:
    return (await jobs.counts(store)).succeeded >= count


async def _read(store: Store) -> SystemState | None:
    with contextlib.suppress(StoreError):
        return await pause.read(store)
    return None


async def _told(store: Store, job_id: str, kind: str) -> bool:
    found = await events.page(store, job_id, limit=500)
    return kind in [event.payload["kind"] for event in found if event.payload]


async def _said(store: Store, job_id: str, text: str) -> bool:
    found = await events.page(store, job_id, limit=500)
    logs = [event.payload["text"] for event in found if event.payload and event.payload["kind"] == "log"]
    return "".join(logs) == text
