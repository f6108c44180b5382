"""A task from enqueue to branch on a real store: its artifacts, its resume on a second worker, its cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from sluicegate.artifacts import ArtifactFolder, keep
from sluicegate.errors import Invalid, LeaseLost
from sluicegate.model import Job, NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.settings import Settings
from sluicegate.store import Store, cancellation, events, jobs, shelves
from tests.services.worker.conftest import Way, ended, working
from tests.support.job_builder import WORKER, JobBuilder
from tests.support.origin import Origin
from tests.support.tasks import payload
from tests.support.wait import until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_local_repositories=True)


async def enqueued(store: Store, origin: Origin, *scripts: str) -> Job:
    new = NewJob(type="task", payload=payload(origin, *scripts))
    return (await job_operations.enqueue(store, new, actor="someone")).job


async def test_a_task_from_enqueue_to_branch(store: Store, way: Way, origin: Origin) -> None:
    """00-4, Q-10: enqueued with derived capabilities, run, published; its files can be read back."""
    job = await enqueued(store, origin, "echo one > one", "echo two > two; echo said")
    assert (job.repository, job.required_capabilities) == (str(origin.path), ["git", "shell"])
    async with working(way, "worker-a"):
        done = await ended(store, job)
    assert (done.status, done.error_message) == ("succeeded", None)
    assert done.result_summary is not None
    assert done.result_summary.startswith("2 steps finished; branch result at ")
    assert origin.files("result") == ["README.md", "one", "two"]
    stored = {artifact.name: artifact for artifact in await shelves.artifacts(store, job.id)}
    log = stored["logs/steps/step-0002.log"]
    files = ArtifactFolder(store.settings.artifacts_dir)
    assert b"".join([chunk async for chunk in files.read(job.id, log.id, log.digest)]) == b"said\r\n"
    assert [step.step_id for step in await shelves.steps(store, job.id)] == ["step-1", "step-2"]


async def test_a_released_task_goes_on_elsewhere(
    store: Store, way: Way, origin: Origin, tmp_path: Path
) -> None:
    """H-8, Q-14: a worker that stops in order hands the task back; the next does what is left of it."""
    job = await enqueued(
        store, origin, f"echo 1 >> {tmp_path}/first; echo one > one",
        f"echo 2 >> {tmp_path}/second; test $(wc -l < {tmp_path}/second) = 2 || sleep 60; cp one two",
    )  # fmt: skip
    async with working(way, "worker-a"):
        await until((tmp_path / "second").exists, "the second step", timeout=20)
    released = await jobs.get(store, job.id)
    assert (released.status, released.attempt, released.releases) == ("queued", 1, 1)
    async with working(way, "worker-b"):
        done = await ended(store, job)
    assert (done.status, done.claimed_by) == ("succeeded", "worker-b")
    assert (tmp_path / "first").read_text() == "1\n"
    assert origin.files("result") == ["README.md", "one", "two"]


async def test_a_cancelled_task_stores_what_it_has(
    store: Store, way: Way, origin: Origin, tmp_path: Path
) -> None:
    """C-11: stops, uploads what it has, acks; nothing is published."""
    job = await enqueued(store, origin, f"echo began; touch {tmp_path}/began; sleep 60")
    async with working(way, "worker-a"):
        await until((tmp_path / "began").exists, "the step", timeout=20)
        await cancellation.cancel(store, job.id, actor="operator", reason="enough")
        done = await ended(store, job)
        names = [artifact.name for artifact in await shelves.artifacts(store, job.id)]
    assert done.status == "cancelled"
    assert "logs/steps/step-0001.log" in names
    kinds = [(event.payload or {}).get("kind") for event in (await events.page(store, job.id))]
    assert kinds[-1] == "job.cancelled"
    assert origin.branches() == ["main"]


async def test_an_artifact_is_kept_under_the_lease(store: Store, settings: Settings) -> None:
    """Q-10, 70-15: the same name again replaces; a stale holder adds nothing to the list, nor to the disk."""
    made = await JobBuilder(store).running()
    files = ArtifactFolder(settings.artifacts_dir)

    async def put(name: str, content: bytes, token: int = made.token) -> shelves.Artifact:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        return await keep(
            store, files, name, chunks(), job_id=made.job_id, worker_id=WORKER, lease_token=token, limit=100,
            content_type="text/plain",
        )  # fmt: skip

    await put("a/b.txt", b"first")
    second = await put("a/b.txt", b"second")
    with pytest.raises(LeaseLost):
        await put("c.txt", b"stale", made.token + 1)
    with pytest.raises(Invalid):
        await put("../c.txt", b"outside")
    assert await shelves.artifacts(store, made.job_id) == [second]
    assert (second.size_bytes, second.content_type) == (6, "text/plain")
    assert await files.contents(made.job_id) == [(second.id, second.digest, 6)]
