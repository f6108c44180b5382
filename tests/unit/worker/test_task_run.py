"""A whole task against a real repository: three stages, its events, its branch."""

from __future__ import annotations

import json

import pytest

from sluicegate.settings import WorkerSettings
from tests.support.origin import Origin
from tests.support.tasks import NewTask, failure, run


async def test_three_healthy_steps(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """00-4, 70-26, 70-33: steps in order, one commit on the start commit, trailers, the day's branch."""
    kept = new_task(
        "echo one > one", "cat one > two; echo more >> README.md", "git rm -q --cached two; rm one; ls"
    )
    summary = await run(kept, worker_settings)

    branch = f"task/20260304/{kept.job.id[-12:]}"
    assert summary == f"3 steps finished; branch {branch} at {str(origin.tip(branch))[:12]}"
    assert origin.branches() == ["main", branch]
    assert origin.shown(branch, "%P") == origin.first
    assert origin.shown(branch, "%B") == (
        f"Improve the files\n\nSluicegate-Job: {kept.job.id}\nSluicegate-Lease: 1"
    )
    assert origin.shown(branch, "%an <%ae> %cn") == "Sluicegate <sluicegate@localhost> Sluicegate"
    assert origin.files(branch) == ["README.md", "two"]
    assert origin.file(branch, "README.md") == b"first line\nsecond line\nmore\n"


async def test_the_history_of_a_run(worker_settings: WorkerSettings, new_task: NewTask) -> None:
    """H-11, 70-28: every stage and step tells its beginning and end; indexes from 0, names from 1."""
    kept = new_task("echo one > one", "true")
    await run(kept, worker_settings)
    step = [
        "task.step.started", "task.step.attempt.started", "task.step.attempt.finished", "task.step.finished",
    ]  # fmt: skip
    assert kept.kinds() == [
        "task.stage.started", "task.stage.finished",
        "task.stage.started", "task.steps.plan", *step, *step, "task.stage.finished",
        "task.stage.started", "task.publish.finished", "task.stage.finished",
    ]  # fmt: skip
    assert kept.told("task.step.attempt.started")[0]["limits"] == {
        "wallSeconds": worker_settings.step_timeout_seconds,
        "idleSeconds": worker_settings.step_idle_timeout_seconds,
    }
    finished = kept.told("task.step.finished")
    assert [
        (each["stepId"], each["stepIndex"], each["attempt"], each["jobAttempt"]) for each in finished
    ] == [
        ("step-1", 0, 1, 1),
        ("step-2", 1, 1, 1),
    ]
    assert finished[0]["files"] == ["one"]
    assert kept.told("task.steps.plan")[0]["steps"][1] == {"stepId": "step-2", "stepIndex": 1, "title": None}


async def test_checkpoints_and_logs_are_artifacts(worker_settings: WorkerSettings, new_task: NewTask) -> None:
    """H-7, 70-51: a patch and a state for each step, and the full logs, under their documented names."""
    kept = new_task("echo one > one; echo said", "echo two >> one")
    await run(kept, worker_settings)
    assert sorted(kept.artifacts) == [
        "logs/execute.log",
        "logs/prepare.log",
        "logs/publish.log",
        "logs/steps/step-0001.log",
        "logs/steps/step-0002.log",
        "patches/steps/step-0001.patch",
        "patches/steps/step-0002.patch",
        "state/steps/step-0001.json",
        "state/steps/step-0002.json",
        "terminal/attempt-1.cast",
    ]
    content = {name: kept.content[artifact.digest] for name, artifact in kept.artifacts.items()}
    assert content["logs/steps/step-0001.log"] == b"said\r\n"
    assert b"Cloning into bare repository" in content["logs/prepare.log"]
    assert b"refs/heads/task/20260304/" in content["logs/publish.log"]
    state = json.loads(content["state/steps/step-0002.json"])
    patch = kept.artifacts["patches/steps/step-0002.patch"]
    assert state["diffHash"] == patch.digest.removeprefix("sha256:") == kept.steps[1].diff_hash
    assert {name: state[name] for name in ("stepId", "stepIndex", "attempt", "changedFiles")} == {
        "stepId": "step-2", "stepIndex": 1, "attempt": 1, "changedFiles": ["one"],
    }  # fmt: skip
    assert state["treeHash"] == kept.steps[1].tree_hash


async def test_what_a_step_is_told(
    worker_settings: WorkerSettings, new_task: NewTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """70-27, 70-34: the SLUICEGATE_* variables, files beside the work tree, a terminal; no settings."""
    monkeypatch.setenv("SLUICEGATE_TOKEN", "sgwt_of-the-worker")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    kept = new_task(
        "env | grep -a ^SLUICEGATE_ | sort; echo $0; pwd; test -t 0 && test -t 1 && echo terminal",
        "cat $SLUICEGATE_PROMPT_FILE; test -f $SLUICEGATE_INBOX && echo inbox",
        "git status --short; git log --oneline",
    )
    await run(kept, worker_settings)
    said = kept.output("execute").replace("\r\n", "\n")
    place = str(worker_settings.workspaces / "worker-1")
    found = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("SLUICEGATE_"))
    assert found == {
        "SLUICEGATE_JOB_ID": kept.job.id,
        "SLUICEGATE_STEP_ID": "step-1",
        "SLUICEGATE_STEP_INDEX": "0",
        "SLUICEGATE_STEP_ATTEMPT": "1",
        "SLUICEGATE_RETRY_CONTEXT": found["SLUICEGATE_RETRY_CONTEXT"],
        "SLUICEGATE_PROMPT_FILE": found["SLUICEGATE_PROMPT_FILE"],
        "SLUICEGATE_INBOX": found["SLUICEGATE_INBOX"],
    }
    tree = next(line for line in said.splitlines() if line.startswith(place) and line.endswith("/repo"))
    for name in ("RETRY_CONTEXT", "PROMPT_FILE", "INBOX"):
        assert found[f"SLUICEGATE_{name}"].startswith(place)
        assert not found[f"SLUICEGATE_{name}"].startswith(tree + "/")
    assert "\nterminal\n" in said
    assert "Objective:\nImprove the files" in said
    assert "\ninbox\n" in said
    assert "Change files" in said  # the step sees the history, and nothing of ours in its status
    assert "?? " not in said
    assert {each["stream"] for each in kept.told("log") if each["stage"] == "execute"} == {"pty"}


async def test_a_failing_step_ends_the_run(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """00-4, 70-30: nothing is published, later steps do not run, the message is what the step last said."""
    kept = new_task(
        "echo one > one", "echo two > two; echo 'assert 1 == 2'; echo; exit 3", "echo three > three"
    )
    error = await failure(kept, worker_settings)
    assert (error.message, error.retryable, error.failure_class) == (
        "exit code 3: assert 1 == 2", True, "transient_runtime",
    )  # fmt: skip
    assert origin.branches() == ["main"]
    assert list(kept.steps) == [0]
    assert kept.kinds()[-5:] == [
        "task.step.attempt.started", "task.step.attempt.failed", "task.self_heal.exhausted",
        "task.step.failed", "task.stage.failed",
    ]  # fmt: skip
    assert kept.told("task.step.failed")[0]["failureClass"] == "transient_runtime"
    assert kept.content[kept.artifacts["logs/steps/step-0002.log"].digest] == b"assert 1 == 2\r\n\r\n"


async def test_a_step_over_its_wall_clock(worker_settings: WorkerSettings, new_task: NewTask) -> None:
    """H-1, 70-32: the wall clock of a step ends it, as transient_runtime; the task may set its own."""
    kept = new_task("echo began; sleep 60", task={"limits": {"stepWallSeconds": 0.3}})
    error = await failure(kept, worker_settings)
    assert error.message == "ran longer than 0.3 s; its last words: began"
    assert error.failure_class == "transient_runtime"
    assert kept.output("execute") == "began\r\n"


async def test_publish_none_pushes_nothing(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    kept = new_task("echo one > one", task={"publish": {"mode": "none"}})
    assert await run(kept, worker_settings) == "1 step finished; nothing to publish was asked for"
    assert origin.branches() == ["main"]
    assert "patches/steps/step-0001.patch" in kept.artifacts


async def test_no_change_publishes_nothing(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-33: no change: no branch, and an event that says so."""
    kept = new_task("echo x > x", "rm x")
    assert await run(kept, worker_settings) == "2 steps finished; no change, nothing published"
    assert origin.branches() == ["main"]
    assert kept.told("task.publish.skipped") == [{"kind": "task.publish.skipped", "reason": "no_change"}]


async def test_no_steps_run_the_objective(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """00-4: no steps mean one step that is the objective."""
    kept = new_task(task={"instructions": "echo done > result", "steps": [], "git": {"newBranch": "result"}})
    await run(kept, worker_settings)
    assert origin.file("result", "result") == b"done\n"
    assert origin.shown("result", "%s") == "echo done > result"
