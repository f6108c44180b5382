"""Sessions that an operator asks for by name: tmux and tmate, kept by a worker for a task that goes on."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from msgspec import structs

from sluicegate.model import Job
from sluicegate.sealing import SealingKeys, new_key
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs, live_sessions
from tests.services.worker.conftest import Way, ended, working
from tests.services.worker.test_live_sessions import UNTIL_GO, came_to, task
from tests.support.attached import attached
from tests.support.job_builder import JobBuilder
from tests.support.origin import Origin
from tests.support.wait import until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return structs.replace(
        settings, allow_local_repositories=True, live_keys=SealingKeys.read(new_key("one"))
    )


async def asked(store: Store, job: Job, provider: str) -> None:
    await live_sessions.ask(store, job.id, provider, actor="ann")  # type: ignore[arg-type]


def socket_of(way: str | None) -> Path:
    assert way is not None
    return Path(shlex.split(way)[2])


@pytest.mark.needs("tmux")
async def test_tmux_from_asking_to_revoking(store: Store, way: Way, make: JobBuilder, origin: Origin) -> None:
    """L-7, L-8, L-10, 70-60: the way to write is told by a grant, and leads nowhere after it."""
    job = await task(make, origin, UNTIL_GO)
    await asked(store, job, "tmux")
    async with working(way, "one", worker_heartbeat_seconds=0.2):
        opened = await came_to(store, job, "ready", provider="tmux")
        way_in = socket_of(opened.attach_ro)
        granted = await live_sessions.grant(store, job.id, 5, actor="ann")
        assert granted.attach_rw == f"tmux -S {way_in} attach -t run"
        await store.run("grant_live", id=job.id, actor="ann", ttl_ms=1, mode="1 ms", metadata="{}", most=100)
        await until(lambda: not way_in.exists(), "what she was told leads nowhere", timeout=20)
        then = await came_to(store, job, "ready")
        folder = way_in.parent
        assert socket_of(then.attach_ro).parent == folder
        await live_sessions.revoke(store, job.id, actor="ann")
        await until(lambda: not folder.exists(), "nothing is left", timeout=20)
        assert (await jobs.get(store, job.id)).status == "running"


@pytest.mark.needs("tmux")
async def test_tmux_that_ends_in_mid_run(store: Store, way: Way, make: JobBuilder, origin: Origin) -> None:
    """L-12: the session is an error with its reason, the task goes on; another one may be asked for."""
    job = await task(make, origin, UNTIL_GO)
    await asked(store, job, "tmux")
    async with working(way, "one", worker_heartbeat_seconds=0.2):
        opened = await came_to(store, job, "ready")
        with attached(f"tmux -S {socket_of(opened.attach_ro)} kill-server") as someone:
            await until(lambda: someone.process.poll() is not None, "somebody has ended it")
        failed = await came_to(store, job, "error")
        assert failed.error_message is not None and failed.error_message.startswith("tmux has ended")
        assert (await jobs.get(store, job.id)).status == "running"
        await asked(store, job, "tmux")
        assert (await came_to(store, job, "ready")).id != opened.id


async def test_tmate_without_a_relay(store: Store, way: Way, make: JobBuilder, origin: Origin) -> None:
    """L-12: the session says what is missing, and the task succeeds."""
    job = await task(make, origin, "echo done")
    await asked(store, job, "tmate")
    async with working(way, "one"):
        assert (await ended(store, job)).status == "succeeded"
        failed = await came_to(store, job, "error")
        assert failed.error_message == "no relay is set (SLUICEGATE_TMATE_SERVER_HOST)"
