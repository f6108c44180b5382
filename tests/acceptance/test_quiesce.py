"""Tasks under quiesce, as processes: they wait at a checkpoint and go on from it, wherever (P-7, P-9)."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from sluicegate.model import Job, NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.settings import Settings
from sluicegate.store import Store, events, invariants, jobs, workers
from sluicegate.times import from_rfc3339
from tests.support.job_builder import past
from tests.support.origin import Origin
from tests.support.programs import Program, Programs, Way, programs
from tests.support.tasks import payload
from tests.support.wait import until

LEASE_SECONDS = 2
QUIESCE = {"action": "pause", "mode": "quiesce", "reason": "a disk is full"}
RESUME = {"action": "resume"}
FORCED = {"action": "resume", "forceResume": True}
GIT = """\
#!/bin/bash
case " $* " in *" $HOLD_GIT "*)
    touch "$MARKS/git"
    until [ -e "$MARKS/go-git" ]; do sleep 0.02; done
esac
exec {git} "$@"
"""
"""Waits with one of git's commands until it may go on."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_local_repositories=True)


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(store_url, tmp_path, way) as running:
        yield running


@pytest.fixture
async def control(started: Programs) -> AsyncIterator[aiohttp.ClientSession]:
    _, url = await started.service("control")
    async with aiohttp.ClientSession(url) as session:
        yield session


class Story:
    """One task of three steps. Each leaves a mark as it begins, and ends when it may."""

    def __init__(self, store: Store, started: Programs, control: aiohttp.ClientSession, root: Path) -> None:
        self.store = store
        self.started = started
        self.control = control
        self.origin = Origin(root / "remote")
        self.marks = root / "marks"
        self.marks.mkdir()
        self.job_id = ""

    async def worker(self, name: str, **variables: str) -> Program:
        program = self.started.start(
            "services.worker",
            **await self.started.reach(),
            WORKER_ID=name,
            WORKER_CAPABILITIES="git,shell",
            WORKER_LEASE_SECONDS=str(LEASE_SECONDS),
            WORKER_SHUTDOWN_SECONDS="60",
            PAUSE_POLL_INTERVAL_MS="50",
            ALLOW_LOCAL_REPOSITORIES="1",
            **variables,
        )
        await program.said("worker.started")
        return program

    async def enqueue(self) -> None:
        steps = [
            f"echo {number} >> {self.marks}/{number}; until [ -e {self.marks}/go-{number} ]; do sleep 0.02; "
            f"done; echo {number} > file-{number}"
            for number in (1, 2, 3)
        ]
        new = NewJob(type="task", payload=payload(self.origin, *steps))
        enqueued = await job_operations.enqueue(self.store, new, actor="me")
        self.job_id = enqueued.job.id

    def may_go(self, *names: str | int) -> None:
        for name in names:
            (self.marks / f"go-{name}").touch()

    async def begun(self, name: str | int) -> None:
        await until((self.marks / str(name)).exists, f"{name} has begun", timeout=30)

    async def change(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        async with self.control.post("/api/system/worker-pause", json=body) as answer:
            return answer.status, await answer.json()

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of the job's events of this kind."""
        found = await events.page(self.store, self.job_id, limit=1000)
        return [event.payload for event in found if event.payload and event.payload["kind"] == kind]

    async def job(self) -> Job:
        return await jobs.get(self.store, self.job_id)

    async def waits(self, step_id: str | None) -> None:
        """The job waits at this checkpoint, and its worker says so."""
        paused = await until(lambda: self.told("task.paused"), "it waits at a checkpoint", timeout=30)
        expected = {"kind": "task.paused", "reason": "worker_pause"} | (
            {"stepId": step_id} if step_id else {}
        )
        assert paused == [expected]

        async def said() -> bool:
            return [self.job_id] in [
                each.paused_jobs
                for each in await workers.listing(self.store)
                if each.state == "paused_at_checkpoint"
            ]

        await until(said, "its worker says so")

    async def keeps_its_lease(self) -> None:
        """Over several lengths of it."""
        first = from_rfc3339((await self.job()).lease_expires_at or "")

        async def renewed() -> bool:
            now = from_rfc3339((await self.job()).lease_expires_at or "")
            return now > first + 2_000 * LEASE_SECONDS

        await until(renewed, "its lease is renewed")
        async with self.control.get("/api/system/worker-pause") as answer:
            metrics = (await answer.json())["metrics"]
        assert (metrics["running"], metrics["staleRunning"], metrics["isDrained"]) == (1, 0, False)

    async def succeeds_without_repeating(self, steps: int = 3) -> None:
        async def ended() -> bool:
            return (await self.job()).terminal

        await until(ended, "it ends", timeout=30)
        assert (await self.job()).status == "succeeded"
        ran = {path.name: path.read_text() for path in self.marks.glob("[123]")}
        assert ran == {str(number): f"{number}\n" for number in (1, 2, 3)}
        assert [each["stepId"] for each in await self.told("task.step.finished")] == [
            "step-1", "step-2", "step-3",
        ]  # fmt: skip
        assert self.origin.files("result") == ["README.md", "file-1", "file-2", "file-3"]
        assert await invariants.check(self.store) == []


@pytest.fixture
async def story(
    store: Store, started: Programs, control: aiohttp.ClientSession, tmp_path: Path
) -> AsyncIterator[Story]:
    yield Story(store, started, control, tmp_path)


@pytest.mark.slow
async def test_a_task_waits_between_two_steps_and_goes_on(story: Story) -> None:
    """P-3, P-7: the step under way ends, the next waits under its lease; each version is told once."""
    worker = await story.worker("first")
    await story.enqueue()
    await story.begun(1)
    _, paused = await story.change(QUIESCE)
    story.may_go(1, 2, 3)
    await story.waits("step-2")
    await story.keeps_its_lease()
    assert not (story.marks / "2").exists()
    _, resumed = await story.change(FORCED)
    await story.succeeds_without_repeating()
    assert await story.told("task.resumed") == [
        {"kind": "task.resumed", "reason": "worker_pause", "stepId": "step-2"}
    ]
    assert len(await story.told("job.claimed")) == 1
    versions = [paused["system"]["version"], resumed["system"]["version"]]
    seen = worker.lines("worker.pause.seen")
    assert [(line["version"], line["worker"]) for line in seen] == [(each, "first") for each in versions]
    # It has a free slot, and looks every 50 ms; over HTTP the service that claims for it says so.
    claims_for_it = story.started.queue_api or worker
    hits = claims_for_it.lines("claim_guard_hit")
    assert [(line["version"], line["worker"]) for line in hits] == [(versions[0], "first")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("held", "finished", "stage"),
    [
        pytest.param("clone", [], "prepare", id="before the steps"),
        pytest.param("3", ["prepare"], "", id="before publish"),
        pytest.param("commit-tree", ["prepare", "execute"], "", id="before the push"),
    ],
)
async def test_a_task_waits_between_its_stages(
    story: Story, held: str, finished: list[str], stage: str
) -> None:
    """P-7: what is under way ends; nothing is pushed while it waits."""
    wrapper = story.marks / "git-wrapper" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(GIT.format(git=shutil.which("git")))
    wrapper.chmod(0o755)
    os_path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PATH": os_path, "MARKS": str(story.marks), "HOLD_GIT": held}.items():
            patch.setenv(name, value)
        await story.worker("first")
    await story.enqueue()
    story.may_go(1, 2, *([3] if held != "3" else []))
    await story.begun(held if held == "3" else "git")
    await story.change(QUIESCE)
    story.may_go("git", 3)
    await story.waits(None)
    done = [each["stage"] for each in await story.told("task.stage.finished")]
    assert done == [*finished, *([stage] if stage else [])]
    await story.keeps_its_lease()
    assert story.origin.branches() == ["main"]
    await story.change(FORCED)
    await story.succeeds_without_repeating()
    assert len(await story.told("task.publish.finished")) == 1


@pytest.mark.slow
async def test_a_quiesced_task_outlives_its_worker(story: Story) -> None:
    """P-9: SIGTERM releases it at once. The pause stays; after it another worker goes on at step 2."""
    first = await story.worker("first")
    await story.enqueue()
    await story.begun(1)
    await story.change(QUIESCE)
    story.may_go(1, 2, 3)
    await story.waits("step-2")
    second = await story.worker("second")
    first.signal(signal.SIGTERM)
    assert await first.ended(10) == 0  # it would let jobs run on for 60 s
    job = await story.job()
    assert (job.status, job.attempt, job.releases) == ("queued", 1, 1)
    await second.said("worker.pause.seen")
    code, shown = await story.change(QUIESCE)
    assert (code, shown["code"]) == (409, "pause_unchanged")
    assert not (story.marks / "2").exists()
    code, _ = await story.change(RESUME)  # nothing runs: no force is needed
    assert code == 200
    await story.succeeds_without_repeating()
    job = await story.job()
    assert (job.attempt, job.claimed_by) == (1, "second")
    assert [each["stepId"] for each in await story.told("task.resume.from_step")] == ["step-2"]


async def test_a_quiesced_task_whose_worker_is_killed_is_stale_until_the_resume(story: Story) -> None:
    """P-4, P-9, P-10: kill -9. It is shown as stale, with what ends it; resumed by force, its lease expires
    and another worker goes on at step 2."""
    await story.started.sweeper()
    first = await story.worker("first")
    await story.enqueue()
    await story.begun(1)
    await story.change(QUIESCE)
    story.may_go(1, 2, 3)
    await story.waits("step-2")
    second = await story.worker("second")
    first.kill()
    expires = from_rfc3339((await story.job()).lease_expires_at or "")
    await past(story.store, expires + 1_000)  # the sweeper looks every 50 ms
    async with story.control.get("/api/system/worker-pause") as answer:
        shown = await answer.json()
    assert (shown["metrics"]["running"], shown["metrics"]["staleRunning"]) == (0, 1)
    (blocker,) = shown["drain"]["blockers"]
    assert (blocker["jobId"], blocker["workerId"], blocker["stale"]) == (story.job_id, "first", True)
    assert [each["action"] for each in blocker["remedies"]] == ["cancel", "resume"]
    await second.said("worker.pause.seen")
    code, problem = await story.change(RESUME)
    assert (code, problem["code"], problem["metrics"]["staleRunning"]) == (409, "not_drained", 1)
    assert (await story.job()).claimed_by == "first"
    await story.change(FORCED)
    await story.succeeds_without_repeating()
    job = await story.job()
    assert (job.attempt, job.claimed_by) == (2, "second")
    assert len(await story.told("job.lease_expired")) == 1
    assert [each["stepId"] for each in await story.told("task.resume.from_step")] == ["step-2"]
