"""A worker that is killed leaves nothing of its live session, and loses no message (L-6, L-8)."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sluicegate import keys
from sluicegate.model import NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs, live_sessions, messages
from tests.support.marked import marked
from tests.support.origin import Origin
from tests.support.programs import Programs, Way, programs
from tests.support.tasks import payload
from tests.support.wait import until

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_local_repositories=True)


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(store_url, tmp_path, way) as running:
        running.settings |= {"ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell"}
        yield running


async def test_kill_9_under_a_grant_and_with_messages(
    store: Store, started: Programs, tmp_path: Path
) -> None:
    """The sweeper ends the session; each attempt's inbox has each message once, in order."""
    origin, marks = Origin(tmp_path / "remote"), tmp_path / "marks"
    marks.mkdir()
    script = (
        "while [ $(wc -l < $SLUICEGATE_INBOX) -lt 2 ]; do sleep 0.05; done; "
        f"cp $SLUICEGATE_INBOX {marks}/$$; test $(ls {marks} | wc -l) = 2 || sleep 600"
    )
    new = NewJob(type="task", payload=payload(origin, script, publish={"mode": "none"}))
    job = (await job_operations.enqueue(store, new, actor="ann")).job
    said = [(await messages.send(store, job.id, "one", actor="ann")).id]
    reach = await started.reach()
    first = started.start("services.worker", WORKER_ID="first", **reach)

    async def session(worker: str, status: str) -> live_sessions.Known | None:
        known = await live_sessions.read(store, job.id)
        fits = known is not None and (known.session.worker_id, known.session.status) == (worker, status)
        return known if fits else None

    opened = await until(lambda: session("first", "ready"), "its session is ready", timeout=90)
    await live_sessions.grant(store, job.id, 5, actor="ann")
    said.append((await messages.send(store, job.id, "two", actor="ann")).id)
    await until(lambda: list(marks.glob("*")), "it has both", timeout=60)
    first.kill()
    await until(lambda: marked(first.mark) == [], "everything it started has ended", timeout=30)
    await started.sweeper()
    await until(lambda: _queued(store, job.id), "its lease has run out", timeout=60)
    await store.command("ZADD", keys.LIVE, "XX", 1, job.id)  # a minute is too long to wait
    await until(lambda: session("first", "ended"), "the sweeper has ended its session", timeout=30)
    assert await store.command("ZCARD", keys.LIVE) == 0
    started.start("services.worker", WORKER_ID="second", **reach)
    await until(lambda: _over(store, job.id), "the job has ended", timeout=90)
    last = await until(lambda: session("second", "ended"), "nothing is open", timeout=30)
    assert last.session.id != opened.session.id
    assert (await jobs.get(store, job.id)).status == "succeeded"
    for copy in marks.glob("*"):
        assert [json.loads(line)["id"] for line in copy.read_text().splitlines()] == said
    assert await store.command("ZCARD", keys.LIVE) == 0
    assert not await store.command("EXISTS", keys.job_typed(job.id), keys.job_watched(job.id))


async def test_nothing_is_left_of_fifty(store: Store, started: Programs, tmp_path: Path) -> None:
    """L-8: no process and no key, with a worker killed among them."""
    origin = Origin(tmp_path / "remote")
    described = payload(origin, "echo here; sleep 0.3", publish={"mode": "none"})
    new = NewJob(type="task", payload=described, max_attempts=10)
    ids = [(await job_operations.enqueue(store, new, actor="ann")).job.id for _ in range(50)]
    started.settings |= {"WORKER_CONCURRENCY": "5"}
    reach = await started.reach()
    first = started.start("services.worker", WORKER_ID="first", **reach)

    async def some_are_open() -> bool:
        return int(await store.command("ZCARD", keys.LIVE)) >= 3

    await until(some_are_open, "some sessions are open", timeout=90)
    first.kill()
    await until(lambda: marked(first.mark) == [], "everything it started has ended", timeout=30)
    await started.sweeper()
    second = started.start("services.worker", WORKER_ID="second", **reach)

    async def all_are_over() -> bool:
        return all([await _over(store, job_id) for job_id in ids])

    await until(all_are_over, "all have ended", timeout=300, pause=0.5)
    second.signal(signal.SIGTERM)
    assert await second.ended() == 0
    for job_id in ids:
        known = await live_sessions.read(store, job_id)
        assert known is not None and known.session.status == "ended" and known.session.ended_at
        assert await store.command("PTTL", keys.job_terminal(job_id)) <= 5000
        assert not await store.command("EXISTS", keys.job_typed(job_id), keys.job_watched(job_id))
    assert await store.command("ZCARD", keys.LIVE) == 0
    assert marked(second.mark) == []


async def _queued(store: Store, job_id: str) -> bool:
    return (await jobs.get(store, job_id)).status == "queued"


async def _over(store: Store, job_id: str) -> bool:
    return (await jobs.get(store, job_id)).terminal
