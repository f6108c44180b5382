"""Steps that fail or hang on a real store, over both transports: healed, exhausted, resumed elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluicegate.artifacts import ArtifactFolder
from sluicegate.model import Job, NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.operations import run_control
from sluicegate.operations.run_control import ControlCall
from sluicegate.settings import Settings
from sluicegate.store import Store, dead_letters, events, jobs, shelves
from tests.services.worker.conftest import Way, ended, working
from tests.support.origin import Origin
from tests.support.tasks import payload
from tests.support.wait import until


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(
        settings, allow_local_repositories=True, retry_backoff_base_seconds=0.05, retry_backoff_jitter=0
    )


async def enqueued(
    store: Store, origin: Origin, *scripts: str, limits: dict[str, float] | None = None, **fields: Any
) -> Job:
    new = NewJob(type="task", payload=payload(origin, *scripts, limits=limits or {}), **fields)
    return (await job_operations.enqueue(store, new, actor="someone")).job


async def told(store: Store, job: Job, kind: str, *names: str) -> list[tuple[Any, ...]]:
    """These fields of the job's events of one kind."""
    page = await events.page(store, job.id, limit=500)
    payloads = [event.payload for event in page if event.payload and event.payload.get("kind") == kind]
    return [tuple(payload.get(name) for name in names) for payload in payloads]


async def test_a_step_that_hangs_heals(store: Store, way: Way, origin: Origin, marks: Path) -> None:
    """H-1, H-4: its processes end, the second attempt knows why it is one, and the task is published."""
    hang = f"touch {marks}/hangs; setsid sleep 600 & sleep 600"
    job = await enqueued(
        store, origin, "echo one > one",
        f"if test $SLUICEGATE_STEP_ATTEMPT = 1; then {hang}; fi; "
        f"cp $SLUICEGATE_RETRY_CONTEXT {marks}/told; cp one two",
        limits={"stepIdleSeconds": 2},
    )  # fmt: skip
    async with working(way, "worker-a"):
        done = await ended(store, job)
    assert (done.status, done.attempt) == ("succeeded", 1)
    assert origin.files("result") == ["README.md", "one", "two"]
    assert "gave no sign of life for 2 s" in json.loads((marks / "told").read_text())["failureSummary"]
    names = ("stepId", "attempt", "strategy")
    assert await told(store, job, "task.step.finished", *names) == [
        ("step-1", 1, None), ("step-2", 2, "soft_reset"),
    ]  # fmt: skip


async def test_the_ladder_to_the_dead_letters(store: Store, way: Way, origin: Origin, marks: Path) -> None:
    """70-29, H-2: exhausted twice, in two attempts of the job, the second resumed by another worker."""
    job = await enqueued(
        store, origin, f"echo x >> {marks}/first; echo one > one",
        f"echo x >> {marks}/second; echo boom; exit 3", max_attempts=2,
    )  # fmt: skip
    async with working(way, "worker-a", worker_concurrency=1):
        await until(lambda: _retried(store, job), "the queue takes it back", timeout=60)
    async with working(way, "worker-b"):
        done = await ended(store, job)
    assert (done.status, done.failure_class) == ("dead_letter", "stuck_no_progress")
    assert (marks / "first").read_text() == "x\n"
    begun = await told(store, job, "task.step.attempt.started", "stepId", "attempt", "strategy", "jobAttempt")
    assert [each[1:] for each in begun if each[0] == "step-2"] == [
        (1, None, 1), (2, "soft_reset", 1), (3, "hard_reset", 1), (1, "queue_retry", 2), (2, "soft_reset", 2),
    ]  # fmt: skip
    assert await told(store, job, "task.self_heal.exhausted", "jobAttempt") == [(1,), (2,)]
    steps = await shelves.steps(store, job.id)
    assert await told(store, job, "task.workspace.rebuilt", "treeHash") == [(steps[0].tree_hash,)]
    facts = await shelves.facts(store, job.id)
    assert facts["hard_resets"] == "1"
    names = [each.name for each in await shelves.artifacts(store, job.id) if "self_heal" in each.name]
    last = len(await told(store, job, "job.claimed", "attempt"))  # worker-a may have had it, and released it
    assert names == [
        *(f"state/self_heal/attempt-2-1-{number}.json" for number in (1, 2, 3)),
        *(f"state/self_heal/attempt-2-{last}-{number}.json" for number in (1, 2)),
    ]
    (letter,), _ = await dead_letters.listing(store)
    assert letter.failure_class == "stuck_no_progress"


async def _retried(store: Store, job: Job) -> bool:
    return await told(store, job, "job.retry_scheduled", "attempt") != []


async def test_a_dead_letter_that_is_redriven_has_a_budget_again(
    store: Store, way: Way, origin: Origin, marks: Path
) -> None:
    """H-2: a new life; finished steps are kept, hard resets stay used."""
    job = await enqueued(
        store, origin, f"echo x >> {marks}/first; echo one > one",
        f"echo x >> {marks}/second; test -e {marks}/mended || {{ echo boom; exit 3; }}; cp one two",
        max_attempts=1,
    )  # fmt: skip
    async with working(way, "worker-a"):
        assert (await ended(store, job)).status == "dead_letter"
        (marks / "mended").touch()
        await dead_letters.redrive(store, [job.id], actor="ann")
        done = await ended(store, job)
    assert (done.status, done.attempt) == ("succeeded", 1)
    assert (marks / "first").read_text() == "x\n"
    assert (marks / "second").read_text() == "x\n" * 4
    assert (await told(store, job, "task.step.attempt.started", "stepId", "attempt"))[-1] == ("step-2", 1)


async def test_a_recovery_of_an_operator(store: Store, way: Way, origin: Origin, marks: Path) -> None:
    """H-10, 70-24: kept, pushed, done at once, cleared; its events say by whom, and what became of it."""
    job = await enqueued(
        store, origin, f"echo x >> {marks}/first; echo one > one",
        f"echo x >> {marks}/second; test $(wc -l < {marks}/second) = 2 || sleep 600; cp one two",
    )  # fmt: skip
    async with working(way, "worker-a"):
        await until((marks / "second").exists, "the second step", timeout=60)
        call = ControlCall(action="resume_from_step", step_id="step-1", reason="once more")
        await run_control.control(store, job.id, call, actor="ann")
        done = await ended(store, job)
    assert done.status == "succeeded"
    assert "liveControl" not in done.payload or "recovery" not in done.payload["liveControl"]
    assert (marks / "first").read_text() == "x\n" * 2
    assert origin.files("result") == ["README.md", "one", "two"]
    asked = await told(store, job, "task.control.recovery.requested", "action", "stepId", "actorUserId")
    assert asked == [("resume_from_step", "step-1", "ann")]
    ((answer,),) = await told(store, job, "task.control.recovery.ack", "message")
    assert answer == "step 1 (step-1) runs again in a rebuilt workspace"
    assert await told(store, job, "task.resume.from_step", "stepId", "strategy") == [("step-1", "operator")]


async def test_a_failure_that_comes_again_ends_the_job(
    store: Store, way: Way, origin: Origin, marks: Path
) -> None:
    """H-3: one attempt of the step, one of the job."""
    job = await enqueued(
        store, origin, f"echo x >> {marks}/ran; echo 'API error: 401 Unauthorized: invalid API key'; exit 1"
    )
    async with working(way, "worker-a"):
        done = await ended(store, job)
    assert (done.status, done.failure_class) == ("failed", "deterministic_policy")
    assert (marks / "ran").read_text() == "x\n"


async def test_what_a_healed_attempt_left_can_be_read(store: Store, way: Way, origin: Origin) -> None:
    """H-11."""
    job = await enqueued(store, origin, "test $SLUICEGATE_STEP_ATTEMPT = 2 || { echo boom; exit 1; }")
    async with working(way, "worker-a"):
        assert (await ended(store, job)).status == "succeeded"
    (stored,) = [each for each in await shelves.artifacts(store, job.id) if "self_heal" in each.name]
    files = ArtifactFolder(store.settings.artifacts_dir)
    content = b"".join([chunk async for chunk in files.read(job.id, stored.id, stored.digest)])
    record = json.loads(content)
    assert (record["summary"], record["workerId"]) == ("exit code 1: boom", "worker-a")
    assert record["next"]["strategy"] == "soft_reset"
    assert (await jobs.get(store, job.id)).attempt == 1
