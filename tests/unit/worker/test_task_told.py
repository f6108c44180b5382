"""What an attempt is told: briefly what went wrong, what a person left for it, and never a secret (H-6)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.worker.task.handler import run_task
from sluicegate.model import HandoffSummary
from sluicegate.settings import WorkerSettings
from tests.support.recorded_context import attempt
from tests.support.tasks import NewTask, failure, run
from tests.support.wait import until

TELL = (
    "cp $SLUICEGATE_PROMPT_FILE {marks}/prompt-$SLUICEGATE_STEP_ATTEMPT; "
    "cp $SLUICEGATE_RETRY_CONTEXT {marks}/context-$SLUICEGATE_STEP_ATTEMPT; "
)


def context(marks: Path, number: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((marks / f"context-{number}").read_text())
    return content


async def test_a_retry_is_told_what_went_wrong(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-6: objective, step, summary, constraints, changed files, diff hash; in a file and in the prompt."""
    script = TELL.format(marks=marks) + "echo half > half; seq 1000; echo 'assert 1 == 2'; exit 1"
    kept = new_task(
        task={"steps": [{"instructions": script, "title": "Mend it"}], "publish": {"mode": "none"}}
    )
    await failure(kept, healing)
    assert not (marks / "context-1").exists()
    first = kept.told("task.step.attempt.failed")[0]
    soft = context(marks, 2)
    assert soft.pop("constraints")[0].startswith("The files are as the failed attempt left them")
    assert soft.pop("objective").startswith("Improve the files")
    assert soft == {
        "stepId": "step-1", "stepIndex": 0, "stepTitle": "Mend it",
        "attempt": 2, "strategy": "soft_reset", "failureClass": "transient_runtime",
        "failureSummary": "exit code 1: assert 1 == 2", "changedFiles": ["half"],
        "diffHash": first["diffHash"],
    }  # fmt: skip
    hard = context(marks, 3)
    assert hard["strategy"] == "hard_reset"
    assert hard["failureClass"] == "stuck_no_progress"
    assert hard["constraints"][0].startswith("The workspace is new")
    assert hard["constraints"][-1].endswith("If it fails, no other one follows.")
    prompt = (marks / "prompt-2").read_text()
    assert "What happened: exit code 1: assert 1 == 2" in prompt
    assert "- half\n" in prompt and "- The files are as" in prompt
    assert prompt.startswith((marks / "prompt-1").read_text())
    assert "\n999\n" not in prompt and len(prompt) < 3000


async def test_the_retry_is_not_appended_to_a_script(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """70-27."""
    script = f"cat $0 >> {marks}/scripts; test $SLUICEGATE_STEP_ATTEMPT = 2 || exit 1"
    await run(new_task(script), healing)
    assert (marks / "scripts").read_text() == f"{script}\n" * 2


async def test_secrets_and_transcripts_are_not_told(
    healing: WorkerSettings, new_task: NewTask, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H-13: not in the context, the prompt, the kept budget, the record, the signature's events."""
    secret = "planted-secret-4711"
    monkeypatch.setenv("PLANTED_SECRET", secret)
    kept = new_task(
        TELL.format(marks=marks) + "touch $PLANTED_SECRET; echo $PLANTED_SECRET is wrong; exit 1",
        task={"instructions": f"Use {secret}", "publish": {"mode": "none"}},
    )
    await failure(kept, healing)
    assert (marks / "context-2").exists()
    assert secret not in (marks / "context-2").read_text()
    assert secret not in (marks / "prompt-2").read_text().partition("tried before")[2]
    assert "[redacted] is wrong" in context(marks, 2)["failureSummary"]
    assert context(marks, 2)["changedFiles"] == ["[redacted]"]
    assert secret.encode() not in kept.everything()


async def test_what_is_told_is_bounded(healing: WorkerSettings, new_task: NewTask, marks: Path) -> None:
    """A fact, an event and a prompt have their limits, whatever an attempt says and leaves."""
    kept = new_task(
        TELL.format(marks=marks) + "x=$(printf 'x%.0s' $(seq 200)); for n in $(seq 300); do : > $x$n; done; "
        "printf 'y%.0s' $(seq 5000); echo; exit 1"
    )
    await failure(kept, healing)
    told = context(marks, 2)
    assert len(told["changedFiles"]) == 20 and max(map(len, told["changedFiles"])) == 100
    assert len(told["failureSummary"]) == 600
    assert len(kept.facts["step_budget"]) < 16_000


async def test_a_persons_wish_is_told(healing: WorkerSettings, new_task: NewTask, marks: Path) -> None:
    script = TELL.format(marks=marks) + "test $SLUICEGATE_STEP_ATTEMPT = 2 || sleep 600"
    kept = new_task(script)
    async with attempt(kept, healing) as recorded:
        task = asyncio.create_task(run_task(recorded.context))
        await until((marks / "prompt-1").exists, "the step runs", timeout=60)
        recorded.ask("retry_step", "step-1", reason="use the other server")
        await task
    told = context(marks, 2)
    assert told["strategy"] == "operator"
    assert told["constraints"][0] == "A person asked for this attempt: use the other server"
    assert told["failureSummary"] == "no attempt has failed; a person wants another one"
    prompt = (marks / "prompt-2").read_text()
    assert "This step was begun before." in prompt and "fail once more" not in prompt
    assert "- The files are as the last attempt left them" in prompt


async def test_a_handoff_is_in_the_next_prompt_and_only_there(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """L-9: told until a step that was told is finished; once is enough then."""
    tell = f"cp $SLUICEGATE_PROMPT_FILE {marks}/$SLUICEGATE_STEP_ID-$SLUICEGATE_STEP_ATTEMPT; "
    kept = new_task(tell + "true", tell + "test $SLUICEGATE_STEP_ATTEMPT = 2 || exit 1", tell + "true")
    summary = HandoffSummary(id="7-0", text="I mended the config.", by_user_id="ann", updated_at="then")

    def hand_back(call: str) -> None:
        if call == "save_step" and not kept.steps:
            recorded.wish(summary=summary)

    async with attempt(kept, healing, before=hand_back) as recorded:
        await run_task(recorded.context)
    prompts = {path.name: "I mended the config." in path.read_text() for path in marks.glob("step-*")}
    assert prompts == {"step-1-1": False, "step-2-1": True, "step-2-2": True, "step-3-1": False}
    assert kept.answers == [("summary", "7-0", "ack", None)]
