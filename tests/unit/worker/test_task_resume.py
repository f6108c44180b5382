"""Finished steps are never run twice, wherever the job goes on, and what is rebuilt is what was saved."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.worker.task.handler import run_task
from sluicegate.errors import LeaseLost, StoreUnavailable
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobCancelled, JobReleased
from tests.support.origin import Origin, git
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask, failure, run
from tests.support.wait import until


@pytest.fixture
def halted(tmp_path: Path, new_task: NewTask) -> tuple[Kept, Path]:
    """A task of three steps whose third fails until the file `go` is there; each step leaves a mark."""
    marks = tmp_path / "marks"
    marks.mkdir()
    third = f"echo 3 >> {marks}/3; test -e {marks}/go || exit 1; cat one two > three"
    return new_task(
        f"echo 1 >> {marks}/1; printf 'one\\0\\n' > one; rm README.md; mkdir -p d; echo x > 'd/ü \" name'",
        f"echo 2 >> {marks}/2; test ! -e README.md && echo two > two; git add -A; "
        "git commit -qm 'own'; rm one; git checkout -q HEAD -- one; chmod +x one",
        third,
    ), marks


async def test_the_next_worker_goes_on_at_the_failed_step(
    origin: Origin, worker_settings: WorkerSettings, halted: tuple[Kept, Path]
) -> None:
    """H-8: rebuilt from the start commit by replaying patches; also after the branch has moved on."""
    kept, marks = halted
    await failure(kept, worker_settings)
    assert list(kept.steps) == [0, 1]
    moved = origin.commit({"README.md": b"another\n", "one": b"conflict\n"})
    (marks / "go").touch()
    kept.job = msgspec.structs.replace(kept.job, attempt=2, error_message="exit code 1")

    await run(kept, worker_settings)

    assert {path.name: path.read_text() for path in marks.glob("?")} == {
        "1": "1\n",
        "2": "2\n",
        "3": "3\n3\n",
    }
    branch = f"task/20260304/{kept.job.id[-12:]}"
    assert origin.shown(branch, "%P") == origin.first != moved
    assert origin.files(branch) == ['d/ü " name', "one", "three", "two"]
    assert origin.file(branch, "three") == b"one\0\ntwo\n"
    assert git("ls-tree", branch, "one", cwd=origin.path).startswith("100755")
    assert [(each["stepId"], each["jobAttempt"]) for each in kept.told("task.resume.from_step")] == [
        ("step-3", 2)
    ]
    assert kept.told("task.steps.plan")[1]["finished"] == 2
    assert kept.facts["start_commit"] == origin.first


async def test_the_failed_step_is_told_what_went_wrong(
    worker_settings: WorkerSettings, halted: tuple[Kept, Path]
) -> None:
    """H-6: objective, step and a summary reach the next attempt as JSON; never a transcript."""
    kept, _ = halted
    await failure(kept, worker_settings)
    steps = kept.job.payload["task"]["steps"]
    steps[2] = {"instructions": "cat $SLUICEGATE_RETRY_CONTEXT"}
    await run(kept, worker_settings)
    context = json.loads(kept.content[kept.artifacts["logs/steps/step-0003.log"].digest])
    assert context["failureSummary"] == "exit code 1"
    assert (context["stepId"], context["stepIndex"]) == ("step-3", 2)
    assert context["objective"].startswith("Improve the files")
    assert (context["strategy"], context["attempt"]) == ("queue_retry", 1)


async def test_all_steps_finished_goes_on_with_publish(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """H-8: an attempt that ends between the last step and publish leaves only publish to do."""
    kept = new_task("echo one > one; echo ran")
    async with attempt(
        kept, worker_settings, before=_interrupts("put_artifact logs/execute.log")
    ) as recorded:
        with pytest.raises(ConnectionResetError):
            await run_task(recorded.context)
    assert origin.branches() == ["main"]
    await run(kept, worker_settings)
    assert kept.output("execute").count("ran") == 1
    assert origin.files(f"task/20260304/{kept.job.id[-12:]}") == ["README.md", "one"]


@pytest.mark.parametrize("harm", ["content", "hashes", "tree", "gone", "no entry", "order"])
async def test_a_checkpoint_that_was_tampered_with_fails_loudly(
    origin: Origin, worker_settings: WorkerSettings, halted: tuple[Kept, Path], harm: str
) -> None:
    """H-5, H-8: diff and tree hashes are verified; nothing runs on, and nothing is published."""
    kept, marks = halted
    await failure(kept, worker_settings)
    (marks / "go").touch()
    before = (marks / "3").read_text()
    patch = kept.artifacts["patches/steps/step-0002.patch"]
    forged = kept.content[patch.digest].replace(b"+two", b"+owt")
    step = kept.steps[1]
    if harm == "content":
        kept.content[patch.digest] = forged
    elif harm == "hashes":
        kept.content[patch.digest] = forged
        kept.steps[1] = msgspec.structs.replace(step, diff_hash=hashlib.sha256(forged).hexdigest())
    elif harm == "tree":
        kept.steps[1] = msgspec.structs.replace(step, tree_hash=kept.steps[0].tree_hash)
    elif harm == "gone":
        del kept.content[patch.digest]
    elif harm == "no entry":
        del kept.artifacts[patch.name]
    else:
        del kept.steps[0]
    error = await failure(kept, worker_settings)
    assert not error.retryable
    assert error.failure_class == ("deterministic_contract" if harm == "order" else "deterministic_repo")
    assert "step" in error.message
    assert (marks / "3").read_text() == before
    assert origin.branches() == ["main"]
    assert "logs/prepare.log" in kept.artifacts


async def test_a_start_commit_that_is_gone(
    origin: Origin, worker_settings: WorkerSettings, halted: tuple[Kept, Path]
) -> None:
    """H-7: the start commit is the job's; a history that was rewritten without it ends the task."""
    kept, _ = halted
    await failure(kept, worker_settings)
    git("checkout", "-q", "--orphan", "new", cwd=origin.clone)
    origin.commit({"README.md": b"rewritten\n"})
    git("reflog", "expire", "--expire=now", "--all", cwd=origin.path)
    git("gc", "-q", "--prune=now", cwd=origin.path)
    error = await failure(kept, worker_settings)
    assert (error.retryable, error.failure_class) == (False, "deterministic_repo")


async def test_a_lost_lease_stores_no_step(worker_settings: WorkerSettings, new_task: NewTask) -> None:
    """H-7: the entry with the job is what finishes a step, and it is fenced: a stale worker adds none."""
    kept = new_task("echo one > one", "echo two > two")

    def taken_over(call: str) -> None:
        if call == "save_step":
            kept.token += 1

    with pytest.raises(LeaseLost):
        async with attempt(kept, worker_settings, before=taken_over) as recorded:
            await run_task(recorded.context)
    assert kept.steps == {}


async def test_a_store_that_is_away_for_a_while_costs_no_step(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """A store that restarts while a step is saved, or just before the push, is waited for."""
    kept = new_task("echo one > one; echo ran", task={"git": {"newBranch": "result"}})
    away = {"put_artifact patches/steps/step-0001.patch": 2, "save_step": 1, "renew": 1}

    def call_fails(call: str) -> None:
        if away.get(call):
            away[call] -= 1
            raise StoreUnavailable("restarting")

    async with attempt(kept, worker_settings, before=call_fails) as recorded:
        await run_task(recorded.context)
    assert away == dict.fromkeys(away, 0)
    assert kept.output("execute").count("ran") == 1
    assert origin.files("result") == ["README.md", "one"]


@pytest.mark.parametrize(("why", "error"), [("cancel", JobCancelled), ("release", JobReleased)])
async def test_an_interrupted_step_keeps_what_was_finished(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask, why: str, error: type[Exception]
) -> None:
    """C-11, Q-14: a cancel or a shutdown stops the step; its log is stored, its changes are not."""
    kept = new_task("echo one > one", "echo began; echo two > two; sleep 60")
    async with attempt(kept, worker_settings) as recorded:

        async def interrupt() -> None:
            await until(lambda: "began" in kept.output("execute"), "the second step's output")
            recorded.running.interrupt("cancel" if why == "cancel" else "release")

        async with asyncio.TaskGroup() as group:
            group.create_task(interrupt())
            with pytest.raises(error):
                await run_task(recorded.context)
    assert list(kept.steps) == [0]
    assert kept.content[kept.artifacts["logs/steps/step-0002.log"].digest].startswith(b"began")
    assert "task.step.failed" not in kept.kinds()
    assert origin.branches() == ["main"]


def _interrupts(name: str) -> Callable[[str], None]:
    def before(call: str) -> None:
        if call == name:
            raise ConnectionResetError(name)

    return before
