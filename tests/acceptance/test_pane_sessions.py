"""Fifty sessions by tmux, and the kill of the worker that has some of them: nothing is left (L-7, L-8)."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sluicegate import keys
from sluicegate.model import NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.sealing import new_key
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs, live_sessions
from tests.support.marked import marked
from tests.support.origin import Origin
from tests.support.programs import Programs, programs
from tests.support.tasks import payload
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("tmux")]
TASKS = 5
SESSIONS = 10
"""Of each task; the last one of each is open when the worker is killed."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_local_repositories=True)


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path, "redis") as running:
        running.settings |= {"ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell"}
        yield running


async def test_kill_9_after_fifty_sessions_of_tmux(store: Store, started: Programs, tmp_path: Path) -> None:
    """L-8: no server, no shell and no socket outlives its session; the tasks have noticed nothing."""
    origin = Origin(tmp_path / "remote")
    started.settings |= {
        "WORKER_CONCURRENCY": str(TASKS), "LIVE_SESSION_PROVIDER": "tmux", "LIVE_KEYS": new_key("one"),
    }  # fmt: skip
    described = payload(origin, "sleep 600", publish={"mode": "none"})
    new = NewJob(type="task", payload=described)
    ids = [(await job_operations.enqueue(store, new, actor="ann")).job.id for _ in range(TASKS)]
    worker = started.start("services.worker", WORKER_ID="first", **await started.reach())
    sockets: list[Path] = []

    async def session(job_id: str, *statuses: str) -> live_sessions.Known | None:
        known = await live_sessions.read(store, job_id)
        return known if known is not None and known.session.status in statuses else None

    async def ended(job_id: str) -> bool:
        known = await session(job_id, "revoked")
        return known is not None and known.session.ended_at is not None

    async def one(job_id: str) -> Path:
        await live_sessions.ask(store, job_id, "tmux", actor="ann")
        known = await until(lambda: session(job_id, "ready", "error"), "it is open", 90, pause=0.05)
        assert known.session.attach_ro is not None, known.session.error_message
        socket = Path(shlex.split(known.session.attach_ro)[2])
        assert socket.is_socket()
        sockets.append(socket)
        return socket

    async def all_of(job_id: str) -> None:
        for _ in range(SESSIONS - 1):
            socket = await one(job_id)
            await live_sessions.revoke(store, job_id, actor="ann")
            await until(lambda: ended(job_id), "it is torn down", 90, pause=0.05)
            assert not socket.parent.exists()
        await one(job_id)

    async with asyncio.TaskGroup() as group:
        for job_id in ids:
            group.create_task(all_of(job_id))
    assert len(set(sockets)) == TASKS * SESSIONS
    for job_id in ids:
        assert (await jobs.get(store, job_id)).status == "running"
    servers = [each for each in marked(worker.mark) if "tmux" in each.name()]
    assert len(servers) == TASKS, "the servers of ended sessions are gone, those of open ones are there"
    worker.kill()
    await until(lambda: marked(worker.mark) == [], "everything it started has ended", timeout=30)
    await until(lambda: not [each for each in sockets if each.parent.exists()], "no socket is left", 30)
    for job_id in ids:
        assert await store.command("HGET", keys.job_live(job_id), "status") == "ready"  # the sweeper's turn
