"""The how-to page of upgrades, done while jobs come in: none is lost, none runs twice (P-1, P-9)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from sluicegate.client import Client
from sluicegate.dev.embedded_store import free_port
from sluicegate.dev.front import Front
from sluicegate.store import Store, events, invariants, jobs
from tests.support.dev_process import environment
from tests.support.pages import Page
from tests.support.programs import Program, Programs, programs
from tests.support.wait import until

PAGE = "docs/how-to/upgrade.md"
SYSTEMCTL = """\
#!/bin/bash
echo "$@" > asked
until [ -e restarted ]; do sleep 0.05; done
"""
"""Asks this test to restart everything, and returns when it has."""


class Service(Struct, frozen=True):
    """queue_api or control, always at one address."""

    port: int
    ready_path: str = "/readyz"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Deployment:
    """Every service as a process of its own, and a worker on either transport, behind one address."""

    def __init__(self, started: Programs) -> None:
        self._started = started
        self.services = {"queue_api": Service(int(started.api_port)), "control": Service(free_port())}
        self.running: list[Program] = []

    async def start(self) -> None:
        started = self._started
        api = await started.start_api()
        control, _ = await started.service("control", CONTROL_PORT=str(self.services["control"].port))
        sweeper = await started.sweeper()
        near = await started.worker("near", WORKER_LEASE_SECONDS="10")
        far = await started.worker(
            "far", WORKER_LEASE_SECONDS="10", URL=self.services["queue_api"].url, WORKER_TRANSPORT="http"
        )
        self.running = [api, control, sweeper, near, far]

    async def restart(self) -> None:
        """What `systemctl restart` of all of them does."""
        for each in self.running:
            each.signal(signal.SIGTERM)
        for each in self.running:
            assert await each.ended() == 0, each.text
        await self.start()


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path) as running:
        yield running


@asynccontextmanager
async def stream_of_jobs(url: str) -> AsyncIterator[list[str]]:
    """The ids of the jobs that a producer enqueues over HTTP, one after another, as long as this lasts."""
    ids: list[str] = []
    enough = asyncio.Event()

    async def produce(client: Client) -> None:
        while not enough.is_set():  # a cancel could meet an enqueue whose id is not known yet
            ids.append((await client.enqueue(type="brief")).id)
            await asyncio.sleep(0.02)

    async with Client.from_url(url, retry_seconds=60.0) as client:
        producing = asyncio.create_task(produce(client))
        try:
            yield ids
        finally:
            enough.set()
            await producing


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_page_on_upgrades_runs(
    store: Store, store_url: str, started: Programs, tmp_path: Path
) -> None:
    """P-1, P-2, P-3, P-9: pause, drain, restart of everything, resume, as one shell does it."""
    deployment = Deployment(started)
    await deployment.start()
    async with Front(deployment.services).serving("127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}"
        async with stream_of_jobs(url) as ids:
            await until(lambda: ended(store, 30), "jobs are being done")
            reading = asyncio.create_task(asyncio.to_thread(read_page, url, store_url, tmp_path))
            await until(
                lambda: (tmp_path / "asked").exists() or reading.done(), "all is to be restarted", 200
            )
            assert not reading.done(), reading.result()
            before = [each.process.pid for each in deployment.running]
            waiting = len(ids)
            await deployment.restart()
            await until(lambda: len(ids) > waiting, "the producer goes on by itself")
            assert not set(before) & {each.process.pid for each in deployment.running}
            assert (await jobs.counts(store)).is_drained
            (tmp_path / "restarted").touch()
            status, outputs, errors = await reading
            assert status == 0, errors
        last = await all_succeeded(store, ids)
    paused, resumed = told_by_the_audit(outputs)
    assert "Drained: nothing runs." in "".join(outputs)
    assert [line for line in outputs if "Nothing differs" in line]
    assert not [at for at in await claims_of(store, ids) if paused < at < resumed]
    assert last > resumed  # those that came while nothing could begin, too
    assert await invariants.check(store) == []


def read_page(url: str, store_url: str, folder: Path) -> tuple[int, list[str], str]:
    binaries = folder / "bin"
    binaries.mkdir()
    (binaries / "systemctl").write_text(SYSTEMCTL)
    (binaries / "systemctl").chmod(0o755)
    path = os.pathsep.join([str(binaries), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = environment({"SLUICEGATE_URL": url, "SLUICEGATE_REDIS_URL": store_url, "PATH": path})
    page = Page(PAGE, lambda text: text.replace("sleep 2", "sleep 0.1").replace("sleep 1", "sleep 0.1"))
    done = page.run(folder, env, seconds=300.0)
    return done.status, done.outputs, done.errors


async def ended(store: Store, least: int) -> bool:
    return (await jobs.counts(store)).succeeded >= least


async def all_succeeded(store: Store, ids: list[str]) -> str:
    """Each job has run once, to its end. When the last of them was claimed."""

    async def look() -> bool:
        counts = await jobs.counts(store)
        return counts.succeeded == len(ids) and counts.is_drained

    await until(look, "all jobs have succeeded", timeout=60)
    for job_id in ids:
        told = [event.payload["kind"] for event in await events.page(store, job_id) if event.payload]
        # A claim whose answer found no client any more, at the restart, is given back and has begun nothing.
        given_back = ["job.claimed", "job.released"] * told.count("job.released")
        assert [kind for kind in told if kind.startswith("job.")] == [
            "job.enqueued", *given_back, "job.claimed", "job.succeeded",
        ]  # fmt: skip
    return max(await claims_of(store, ids))


async def claims_of(store: Store, ids: list[str]) -> list[str]:
    return [job.started_at for job in await jobs.read(store, ids) if job and job.started_at]


def told_by_the_audit(outputs: list[str]) -> tuple[str, str]:
    """When the pause and its resume were, from the page's own look at the audit."""
    (listed,) = [text.splitlines()[1:] for text in outputs if text.startswith("TIME")]
    resumed, paused = [re.split(" {2,}", row) for row in listed]
    assert resumed[1:] == ["local-operator", "worker_pause", "resume", "-", "2.1 is in place"]
    assert paused[1:] == ["local-operator", "worker_pause", "pause drain", "-", "upgrade to 2.1"]
    return paused[0], resumed[0]
