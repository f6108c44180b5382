"""A step that fails or hangs is tried again, then in a rebuilt workspace, then given back to the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.settings import WorkerSettings
from tests.support.healing import record, story, told
from tests.support.origin import Origin
from tests.support.tasks import NewTask, failure, run


async def test_the_ladder(healing: WorkerSettings, new_task: NewTask) -> None:
    """70-29, H-2, H-11: soft reset, the same again, hard reset, exhausted; each told with its fields."""
    kept = new_task("echo one > one", "echo two > two; echo 'boom: 1 of 2'; exit 3")
    error = await failure(kept, healing)
    assert (error.retryable, error.failure_class) == (True, "stuck_no_progress")
    assert error.message == "exit code 3: boom: 1 of 2 (its 3 attempts are used up)"
    assert story(kept)[3:] == [
        "step.finished", "step.started",
        "step.attempt.started", "step.attempt.failed", "self_heal.triggered",
        "step.attempt.started", "step.attempt.failed", "self_heal.escalated", "workspace.rebuilt",
        "step.attempt.started", "step.attempt.failed", "self_heal.exhausted",
        "step.failed",
    ]  # fmt: skip
    begun = told(kept, "step.attempt.started", "stepId", "stepIndex", "attempt", "strategy", "jobAttempt")
    assert begun[1:] == [
        ("step-2", 1, 1, None, 1), ("step-2", 1, 2, "soft_reset", 1), ("step-2", 1, 3, "hard_reset", 1),
    ]  # fmt: skip
    names = ("stepId", "stepIndex", "attempt", "failureClass", "strategy")
    assert told(kept, "step.attempt.failed", *names) == [
        ("step-2", 1, 1, "transient_runtime", None),
        ("step-2", 1, 2, "stuck_no_progress", "soft_reset"),
        ("step-2", 1, 3, "stuck_no_progress", "hard_reset"),
    ]
    assert told(kept, "self_heal.triggered", *names) == [("step-2", 1, 1, "transient_runtime", "soft_reset")]
    assert told(kept, "self_heal.escalated", *names) == [("step-2", 1, 2, "stuck_no_progress", "hard_reset")]
    assert told(kept, "self_heal.exhausted", *names) == [("step-2", 1, 3, "stuck_no_progress", "queue_retry")]
    assert told(kept, "step.failed", *names) == [("step-2", 1, 3, "stuck_no_progress", None)]
    alike = {
        payload
        for kind in (
            "step.attempt.failed",
            "self_heal.triggered",
            "self_heal.escalated",
            "self_heal.exhausted",
        )
        for payload in told(kept, kind, "failureSignature", "diffHash")
    }
    ((signature, diff_hash),) = alike
    assert len(signature) == 16 and len(diff_hash) == 64


async def test_each_healed_attempt_leaves_a_record(healing: WorkerSettings, new_task: NewTask) -> None:
    """H-11, 70-28: state/self_heal/attempt-<n>-<token>-<attempt>.json, n from 1."""
    kept = new_task("echo one > one; echo boom; exit 3")
    await failure(kept, healing)
    names = [name for name in kept.artifacts if name.startswith("state/self_heal/")]
    assert names == [f"state/self_heal/attempt-1-1-{number}.json" for number in (1, 2, 3)]
    first, second, third = (record(kept, name.rpartition("/")[2]) for name in names)
    assert first["next"] == {"strategy": "soft_reset", "why": "attempt 2 of 3 in the same workspace"}
    assert second["next"] == {"strategy": "hard_reset", "why": "attempt 3 of 3 in a rebuilt workspace"}
    assert third["next"] == {"strategy": "queue_retry", "why": "its 3 attempts are used up"}
    assert (first["stepId"], first["stepIndex"], first["attempt"], first["token"]) == ("step-1", 0, 1, 1)
    assert (first["summary"], first["changedFiles"]) == ("exit code 3: boom", ["one"])
    assert third["used"] == {"stepAttempts": 3, "hardResets": 1}


async def test_the_queues_retry_has_a_fresh_budget_and_no_hard_reset(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-2, 70-29: it resumes at the failing step; hard resets stay used for the job's life."""
    kept = new_task(f"echo 1 >> {marks}/1; echo one > one", f"echo 2 >> {marks}/2; echo boom; exit 3")
    await failure(kept, healing)
    before = len(kept.events)
    error = await failure(kept, healing)
    assert (error.retryable, error.failure_class) == (True, "stuck_no_progress")
    assert "no progress, and no hard reset is left" in error.message
    assert story(kept, before) == [
        "resume.from_step", "step.started",
        "step.attempt.started", "step.attempt.failed", "self_heal.triggered",
        "step.attempt.started", "step.attempt.failed", "self_heal.exhausted",
        "step.failed",
    ]  # fmt: skip
    assert told(kept, "step.attempt.started", "attempt", "strategy", "jobAttempt")[-2:] == [
        (1, "queue_retry", 2), (2, "soft_reset", 2),
    ]  # fmt: skip
    assert (marks / "1").read_text().split() == ["1"]
    assert (marks / "2").read_text().split() == ["2"] * 5
    assert kept.facts["hard_resets"] == "1"


HANGS = {
    "before the first word": "sleep 600",
    "after some work": "echo working; echo half > result; sleep 600",
    "behind a spinner": "while :; do for c in '|' / -; do printf '\\r%s' $c; sleep 0.05; done; done",
    "deaf to signals": "trap '' INT TERM; setsid sleep 600 & while :; do sleep 600; done",
}


@pytest.mark.parametrize(
    "hang",
    [
        pytest.param(script, id=name, marks=pytest.mark.slow if name == "behind a spinner" else [])
        for name, script in HANGS.items()
    ],
)
async def test_a_hang_heals(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path, hang: str
) -> None:
    """H-1, H-4: its processes end, all of them, and the second attempt succeeds in the same workspace."""
    kept = new_task(
        f"if test $SLUICEGATE_STEP_ATTEMPT = 1; then {hang}; fi; ls > {marks}/seen; echo done > result",
        task={"limits": {"stepIdleSeconds": 1.0}, "git": {"newBranch": "result"}},
    )
    await run(kept, healing)
    assert origin.file("result", "result") == b"done\n"
    ((summary,),) = told(kept, "step.attempt.failed", "failureClass")
    assert summary == "transient_runtime"
    assert told(kept, "step.finished", "attempt", "strategy") == [(2, "soft_reset")]
    assert ("result" in (marks / "seen").read_text()) == ("half" in hang)


async def test_other_failures_each_time_are_progress(healing: WorkerSettings, new_task: NewTask) -> None:
    """H-1, H-3: no attempt is like the one before; the budget ends it, and no hard reset is used."""
    kept = new_task(
        'set -- _ "parser: no rule" "linker: no symbol" "loader: no page"; '
        'shift $SLUICEGATE_STEP_ATTEMPT; echo "error in the $1"; exit 1'
    )
    error = await failure(kept, healing)
    assert (error.retryable, error.failure_class) == (True, "transient_runtime")
    assert told(kept, "self_heal.triggered", "attempt", "strategy") == [(1, "soft_reset"), (2, "soft_reset")]
    assert told(kept, "self_heal.exhausted", "attempt") == [(3,)]
    assert "hard_resets" not in kept.facts


async def test_other_changes_each_time_are_progress(healing: WorkerSettings, new_task: NewTask) -> None:
    """H-1: the same words about other files are not the same failure again."""
    kept = new_task("echo $SLUICEGATE_STEP_ATTEMPT > file; echo boom; exit 1")
    error = await failure(kept, healing)
    assert error.failure_class == "transient_runtime"


@pytest.mark.parametrize(
    ("script", "failure_class"),
    [
        ("echo 'API error: 401 Unauthorized: invalid API key'; exit 1", "deterministic_policy"),
        ("echo \"fatal: repository 'https://h/x.git/' not found\"; exit 128", "deterministic_repo"),
        ("echo $PLANTED_SECRET > leaked", "deterministic_policy"),
    ],
)
async def test_what_comes_again_ends_the_step_at_once(
    healing: WorkerSettings,
    new_task: NewTask,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    failure_class: str,
) -> None:
    """H-3: one attempt, no healing, no retry of the job."""
    monkeypatch.setenv("PLANTED_SECRET", "planted-secret-4711")
    kept = new_task(f"echo ran; {script}")
    error = await failure(kept, healing)
    assert (error.retryable, error.failure_class) == (False, failure_class)
    assert kept.output("execute").count("ran") == 1
    assert story(kept) == ["step.started", "step.attempt.started", "step.attempt.failed", "step.failed"]
    assert not [name for name in kept.artifacts if "self_heal" in name]


async def test_a_task_sets_its_own_budget(healing: WorkerSettings, new_task: NewTask) -> None:
    """70-32."""
    limits = {"stepAttempts": 5, "noProgressLimit": 3, "hardResets": 0}
    kept = new_task("echo boom; exit 1", task={"limits": limits})
    error = await failure(kept, healing)
    assert (error.failure_class, error.retryable) == ("stuck_no_progress", True)
    assert kept.output("execute").count("boom") == 3
    kept = new_task("echo boom; exit 1", task={"limits": {"stepAttempts": 1}})
    assert (await failure(kept, healing)).failure_class == "transient_runtime"
    assert kept.output("execute").count("boom") == 1
