"""How tasks fail: their classes, and what is said about it (H-3, 70-30)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from services.worker.task import failures
from services.worker.task.failures import failed, git_says, last_words
from sluicegate.settings import WorkerSettings
from tests.support.tasks import NewTask, failure, run


def test_only_transient_failures_come_back() -> None:
    """H-3: deterministic classes are not retryable; messages are bounded."""
    assert failed("x", "transient_runtime").retryable
    assert failed("x", "stuck_no_progress").retryable
    for each in ("deterministic_contract", "deterministic_policy", "deterministic_repo"):
        assert not failed("x", each).retryable  # type: ignore[arg-type]
    assert len(failed("x" * 5000, "transient_runtime").message) == failures.MAX_MESSAGE


def test_the_words_that_are_told() -> None:
    """Git's complaint without its progress; the last line of a step that means something, without colours."""
    assert (
        git_says(b"Cloning into 'x'...\rReceiving 1%\rhint: try\nremote: no\nfatal: never\n")
        == "remote: no; fatal: never"
    )
    assert git_says(b"ssh: no route\n") == "ssh: no route"
    assert last_words(b"first\n\x1b[31mAssertionError: 1\x1b[0m\r\n-----\n\n") == "AssertionError: 1"
    assert last_words(b"10%\r50%\rdone \xff\n") == "done \ufffd"
    assert last_words(b"\n---\n") == ""


async def test_a_payload_that_is_no_task(worker_settings: WorkerSettings, new_task: NewTask) -> None:
    """H-3: payload and schema problems are deterministic_contract, whoever put them into the queue."""
    kept = new_task("true")
    kept.job = msgspec.structs.replace(kept.job, payload={"repository": "/x", "task": {}})
    error = await failure(kept, worker_settings)
    assert (error.retryable, error.failure_class) == (False, "deterministic_contract")
    assert "payload.task.instructions" in error.message


async def test_skills_stand_before_the_prompt(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-61: SKILL.md with its args is put before the prompt; `auto` is none; the script stays as it is."""
    (tmp_path / "skills" / "review").mkdir(parents=True)
    (tmp_path / "skills" / "review" / "SKILL.md").write_text("Be thorough.\n")
    settings = msgspec.structs.replace(worker_settings, skills_dir=tmp_path / "skills")
    steps = [
        {"instructions": "cat $SLUICEGATE_PROMPT_FILE"},
        {"instructions": "cat $SLUICEGATE_PROMPT_FILE", "skill": {"id": "auto"}},
    ]
    skill = {"id": "review", "args": {"depth": 2}}
    kept = new_task(task={"skill": skill, "steps": steps, "publish": {"mode": "none"}})
    await run(kept, settings)
    first, second = (kept.content[kept.artifacts[f"logs/steps/step-000{n}.log"].digest] for n in (1, 2))
    assert first.replace(b"\r", b"").startswith(b'Be thorough.\n\nArguments: {"depth":2}\n\nObjective:\n')
    assert second.startswith(b"Objective:")


async def test_an_unknown_skill_ends_the_task_before_any_step(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-61: deterministic_contract, before any step."""
    for settings in (worker_settings, msgspec.structs.replace(worker_settings, skills_dir=tmp_path)):
        kept = new_task(task={"steps": [{"skill": {"id": "nobody-knows"}}]})
        error = await failure(kept, settings)
        assert "nobody-knows" in error.message
        assert (error.retryable, error.failure_class) == (False, "deterministic_contract")
        assert "task.step.started" not in kept.kinds()
