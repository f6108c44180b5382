"""Services and workers of the version before and of this one, side by side on one store, under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate import Client
from sluicegate.errors import SluicegateError
from sluicegate.store import Store, invariants
from tests.support import tools
from tests.support.contents import kinds
from tests.support.programs import NO_STORE, ROOT, Program, Programs, programs
from tests.support.wait import until

GAP_SECONDS = 0.05
BEFORE = os.environ.get("SLUICEGATE_TEST_UPGRADE_FROM", "HEAD~1")
"""The version that is replaced: a commit."""

pytestmark = [pytest.mark.slow, pytest.mark.needs("git"), pytest.mark.timeout(300)]


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The tree of the version before."""
    archive = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        tools.lacking(f"the commit {BEFORE}, which this clone does not have")
    tree = tmp_path / "before"
    tree.mkdir()
    subprocess.run(["tar", "-x"], cwd=tree, input=archive.stdout, check=True)
    return tree


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path) as running:
        running.settings["WORKER_LEASE_SECONDS"] = "30"  # longer than the API is away
        yield running


async def test_one_after_the_other_is_replaced_and_no_job_notices(
    store: Store, started: Programs, before: Path
) -> None:
    """60-6: whichever meets which, at the API, the sweeper and the workers; and the way back."""
    remote = {"URL": f"http://127.0.0.1:{started.api_port}", "REDIS_URL": NO_STORE}
    async with Client.from_url(remote["URL"]) as client:
        started.tree = before
        api, sweeper = await started.start_api(), await started.sweeper()
        old = [await started.worker("old"), await started.worker("old-remote", **remote)]
        producing = asyncio.create_task(produced(client, enough := asyncio.Event()))
        await each_ends_some(client, "old", "old-remote")

        started.tree = ROOT
        await started.worker("new")
        await started.worker("new-remote", **remote)
        await each_ends_some(client, "old", "old-remote", "new", "new-remote")
        api, sweeper = await replaced(started, api, sweeper)
        await each_ends_some(client, "old", "old-remote", "new", "new-remote")
        for worker in old:
            await stopped(worker)
        await each_ends_some(client, "new", "new-remote")

        started.tree = before  # it did not please
        await replaced(started, api, sweeper)
        await started.worker("old-again")
        await each_ends_some(client, "old-again", "new", "new-remote")
        enough.set()
        ids = await producing
        await asyncio.gather(*(client.wait(job_id, timeout_seconds=120) for job_id in ids))
        ended = Counter([(await client.get(job_id)).claimed_by for job_id in ids])

    print(f"{len(ids)} jobs, from {BEFORE} to this version and back: {dict(ended)}")
    for job_id in ids:
        told = Counter(kind for kind in await kinds(store, job_id) if kind.startswith("job."))
        assert (told["job.succeeded"], told["job.claimed"]) == (1, 1 + told["job.released"]), (job_id, told)
        assert set(told) <= {"job.claimed", "job.released", "job.succeeded"}, (job_id, told)
    assert await invariants.check(store) == []


async def produced(client: Client, enough: asyncio.Event) -> list[str]:
    """Jobs all the while, each under a key: a call that the API did not live to answer is made again."""
    ids: list[str] = []
    while not enough.is_set():
        with contextlib.suppress(SluicegateError):
            key = f"upgrade-{len(ids)}"
            ids.append((await client.enqueue(type="brief", payload={}, idempotency_key=key)).id)
        await asyncio.sleep(GAP_SECONDS)
    return ids


async def replaced(started: Programs, api: Program, sweeper: Program) -> tuple[Program, Program]:
    """The API, at its address, and the sweeper, by those of the tree that is set."""
    await stopped(api)
    api = await started.start_api()
    await stopped(sweeper)
    return api, await started.sweeper()


async def stopped(program: Program) -> None:
    program.signal(signal.SIGTERM)
    assert await program.ended() == 0


async def each_ends_some(client: Client, *workers: str, some: int = 5) -> None:
    """Wait until each of them has ended so many more jobs."""

    async def by(worker: str) -> set[str]:
        page = await client.list(claimed_by=worker, status="succeeded", limit=100)
        return {job.id for job in page.items}

    for worker in workers:
        known = await by(worker)

        async def more(worker: str = worker, known: set[str] = known) -> bool:
            return len(await by(worker) - known) >= some

        await until(more, f"{worker} ends {some} jobs", timeout=60, pause=0.2)
