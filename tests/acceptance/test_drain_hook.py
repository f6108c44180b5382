"""`sluicegate drain-hook`: the worker beside it takes no more work and ends with its last job (60-6)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.store import Store, jobs, narrow_pauses, workers
from tests.acceptance.test_workers_stop import begun
from tests.support.job_builder import JobBuilder
from tests.support.programs import Programs, programs
from tests.support.wait import until

pytestmark = pytest.mark.slow
PATIENT = {"WORKER_LEASE_SECONDS": "30", "WORKER_SHUTDOWN_SECONDS": "0.2"}


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path) as running:
        yield running


async def hook(started: Programs, *flags: str) -> asyncio.subprocess.Process:
    """It has the worker's settings, but no way into the store."""
    told = {
        "SLUICEGATE_DATA_DIR": started.settings["DATA_DIR"],
        "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:1",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sluicegate", "drain-hook", *flags,
        env=os.environ | told, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_it_waits_for_the_last_job_and_leaves_nothing_behind(
    store: Store, started: Programs, tmp_path: Path
) -> None:
    """60-6: no new work from then on; a killed hook and a second one change nothing; no pause is left."""
    worker = await started.worker(**PATIENT)
    job_id = await begun(store, tmp_path / "go on")
    first = await hook(started)
    await worker.said("worker.draining")
    first.kill()
    await first.communicate()
    make = JobBuilder(store)
    (behind,) = await make.enqueued(make.submission("small"))
    short = await hook(started, "--timeout", "0.1", "--json")
    out, _ = await short.communicate()
    assert short.returncode == 1
    assert (said := json.loads(out)) == {**said, "outcome": "timeout", "pid": worker.process.pid}
    assert (await jobs.get(store, job_id)).status == "running"  # no deadline of the worker's own ran
    assert (await jobs.get(store, behind)).status == "queued"
    await until(lambda: _is_stopping(store), "it says that it stops")
    last = await hook(started, "--timeout", "60", "--json")
    (tmp_path / "go on").touch()
    assert await worker.ended() == 0
    out, _ = await last.communicate()
    assert (last.returncode, json.loads(out)["outcome"]) in ((0, "drained"), (0, "no_worker"))
    assert (await jobs.get(store, job_id)).status == "succeeded"
    assert (await jobs.get(store, behind)).status == "queued"
    assert (await narrow_pauses.read(store)).items == []
    nobody = await hook(started)
    out, _ = await nobody.communicate()
    assert nobody.returncode == 0 and b"nothing to drain" in out


async def _is_stopping(store: Store) -> bool:
    return [each.state for each in await workers.listing(store)] == ["stopping"]


async def test_a_drained_worker_is_stopped_as_always(store: Store, started: Programs, tmp_path: Path) -> None:
    """60-6: SIGTERM after the hook's deadline begins the worker's own, then its jobs are released."""
    worker = await started.worker(**PATIENT)
    job_id = await begun(store, tmp_path / "go on")
    worker.signal(signal.SIGUSR1)
    await worker.said("worker.draining")
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases) == ("queued", 1, 1)


async def test_of_several_one_has_to_be_named(store: Store, started: Programs) -> None:
    first, second = await started.worker("one"), await started.worker("two")
    asked = await hook(started)
    _, errors = await asked.communicate()
    assert asked.returncode == 2 and str(first.process.pid).encode() in errors
    named = await hook(started, "--pid", str(first.process.pid))
    assert await first.ended() == 0
    await named.communicate()
    assert named.returncode == 0 and second.process.poll() is None

    async def alone() -> bool:
        return [each.worker_id for each in await workers.listing(store)] == ["two"]

    await until(alone, "only the other one is left")
