"""What a person asks of the steps of a running task is done before the next attempt, or refused (70-24)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.worker.task.handler import run_task
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobCancelled
from tests.support.healing import story, told
from tests.support.origin import Origin
from tests.support.recorded_context import Kept, Recorded, attempt
from tests.support.tasks import NewTask, run
from tests.support.wait import until


@pytest.fixture
def three(new_task: NewTask, marks: Path) -> Kept:
    """Each step marks that it ran; the second hangs until the file `go` is there."""
    return new_task(
        f"echo $SLUICEGATE_STEP_ATTEMPT >> {marks}/1; echo one > one",
        f"echo $SLUICEGATE_STEP_ATTEMPT >> {marks}/2; echo dirty > dirty; ls > {marks}/seen; "
        f"test -e {marks}/go || {{ touch {marks}/hangs; sleep 600; }}; cp one two; rm -f dirty",
        f"echo $SLUICEGATE_STEP_ATTEMPT >> {marks}/3; cp two three",
        task={"git": {"newBranch": "result"}},
    )


@asynccontextmanager
async def running(
    kept: Kept, healing: WorkerSettings, marks: Path
) -> AsyncIterator[tuple[Recorded, asyncio.Task[str]]]:
    """A task whose second step hangs; from the second attempt of it on it does not."""
    async with attempt(kept, healing) as recorded:
        task = asyncio.create_task(run_task(recorded.context))
        await until((marks / "hangs").exists, "the second step hangs", timeout=60)
        (marks / "go").touch()
        yield recorded, task


def ran(marks: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text().split() for path in sorted(marks.glob("?"))}


async def test_a_step_is_tried_again_in_the_same_workspace(
    origin: Origin, healing: WorkerSettings, three: Kept, marks: Path
) -> None:
    """70-24: interrupted at once, no budget used, acknowledged when the next attempt is about to begin."""
    async with running(three, healing, marks) as (recorded, task):
        recorded.ask("retry_step", "step-2", "soft_reset", reason="the server is back")
        await task
    assert ran(marks) == {"1": ["1"], "2": ["1", "2"], "3": ["1"]}
    assert "dirty" in (marks / "seen").read_text()
    assert [(what, outcome) for what, _, outcome, _ in three.answers] == [("recovery", "ack")]
    assert three.answers[0][3] == "step 2 (step-2) runs again in the same workspace"
    assert told(three, "step.attempt.interrupted", "stepId", "attempt") == [("step-2", 1)]
    assert told(three, "step.attempt.started", "stepId", "attempt", "strategy")[1:3] == [
        ("step-2", 1, None), ("step-2", 2, "operator"),
    ]  # fmt: skip
    assert "step.attempt.failed" not in story(three)
    assert origin.files("result") == ["README.md", "one", "three", "two"]


@pytest.mark.parametrize(
    ("action", "step_id", "strategy"),
    [
        ("hard_reset_step", None, None),
        ("hard_reset_step", "step-2", None),
        ("retry_step", "step-2", "hard_reset"),
    ],
)
async def test_a_step_is_tried_again_in_a_rebuilt_workspace(
    healing: WorkerSettings, three: Kept, marks: Path, action: str, step_id: str | None, strategy: str | None
) -> None:
    """70-24, 70-56: and no hard reset of the budget is used."""
    async with running(three, healing, marks) as (recorded, task):
        (marks / "seen").unlink(missing_ok=True)
        recorded.ask(action, step_id, strategy)  # type: ignore[arg-type]
        await task
    assert (marks / "seen").read_text().split() == ["README.md", "dirty", "one"]
    assert ran(marks)["1"] == ["1"]
    assert told(three, "workspace.rebuilt", "treeHash", "finished") == [(three.steps[0].tree_hash, 1)]
    assert "hard_resets" not in three.facts
    assert three.answers[0][2:] == ("ack", "step 2 (step-2) runs again in a rebuilt workspace")


@pytest.mark.parametrize(("step_id", "again"), [("step-1", 1), ("step-2", 2)])
async def test_the_task_goes_on_from_a_step(
    origin: Origin, healing: WorkerSettings, three: Kept, marks: Path, step_id: str, again: int
) -> None:
    """70-24, H-11: what is finished from there on is forgotten, under the lease, and runs again."""
    async with running(three, healing, marks) as (recorded, task):
        recorded.ask("resume_from_step", step_id)
        await task
    times = {name: len(numbers) for name, numbers in ran(marks).items()}
    assert times == {"1": 2 if again == 1 else 1, "2": 2, "3": 1}
    back = told(three, "resume.from_step", "stepId", "strategy", "attempt")
    assert back == [(step_id, "operator", again)]
    begun = told(three, "step.attempt.started", "stepId", "strategy")
    assert begun[2] == (step_id, "operator")
    assert three.answers[0][2] == "ack"
    assert sorted(three.steps) == [0, 1, 2]
    assert origin.files("result") == ["README.md", "one", "three", "two"]


@pytest.mark.parametrize(
    ("action", "step_id", "why"),
    [
        ("retry_step", "step-1", "the task is at step 2 (step-2); resume from the other step instead"),
        ("retry_step", "step-3", "the task is at step 2 (step-2); resume from the other step instead"),
        ("hard_reset_step", "step-1", "the task is at step 2 (step-2); resume from the other step instead"),
        ("resume_from_step", "step-3", "step 3 (step-3) has not been reached"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_disturbs_nothing(
    healing: WorkerSettings, three: Kept, marks: Path, action: str, step_id: str, why: str
) -> None:
    """70-24: the step that runs is not interrupted for it."""
    async with running(three, healing, marks) as (recorded, task):
        recorded.ask(action, step_id)  # type: ignore[arg-type]
        await until(lambda: three.answers, "it is answered")
        assert three.answers[0][2:] == ("rejected", why)
        await asyncio.wait([task], timeout=0.5)
        assert not task.done()
        recorded.ask("retry_step", "step-2")
        await task
    assert ran(marks)["2"] == ["1", "2"]


async def test_no_budget_is_used_however_often_it_is_asked(
    healing: WorkerSettings, three: Kept, marks: Path
) -> None:
    """70-24: three attempts are allowed; five interrupted ones are none of them."""
    async with running(three, healing, marks) as (recorded, task):
        (marks / "go").unlink()
        for number in range(1, 6):
            await until(lambda: len(ran(marks)["2"]) == number, "it runs", timeout=60)  # noqa: B023
            recorded.ask("retry_step", "step-2")
            await until(lambda: len(three.answers) == number, "it is answered", timeout=60)  # noqa: B023
        await until(lambda: len(ran(marks)["2"]) == 6, "it runs again", timeout=60)
        budget = json.loads(three.facts["step_budget"])
        assert (budget["begun"], budget["used"]) == (6, 1)
        (marks / "go").touch()
        recorded.ask("retry_step", "step-2")
        await task


async def test_cancel_comes_before_what_is_asked(healing: WorkerSettings, three: Kept, marks: Path) -> None:
    """H-9: cancel, then pause and takeover, then recovery."""
    async with running(three, healing, marks) as (recorded, task):
        recorded.running.interrupt("cancel")
        recorded.ask("retry_step", "step-2")
        with pytest.raises(JobCancelled):
            await task
    assert three.answers == []
    assert ran(marks)["2"] == ["1"]


@pytest.mark.parametrize("hold", ["paused", "takeover"])
async def test_pause_and_takeover_come_before_what_is_asked(
    healing: WorkerSettings, three: Kept, marks: Path, hold: str
) -> None:
    """H-9: the attempt is interrupted at once, but nothing begins until the run is given back."""
    async with running(three, healing, marks) as (recorded, task):
        recorded.wish(**{hold: True})
        recorded.ask("hard_reset_step")
        await until(lambda: told(three, "paused", "reason"), "it waits", timeout=60)
        assert three.answers == []
        assert "task.workspace.rebuilt" not in three.kinds()
        recorded.wish(**{hold: False})
        await task
    assert three.answers[0][2] == "ack"


async def test_what_a_worker_did_not_come_to_is_done_by_the_next(
    healing: WorkerSettings, three: Kept, marks: Path
) -> None:
    """H-10: it is pending until it is answered; done twice it comes to the same."""

    def crash(call: str) -> None:
        if call == "answer_control":
            raise ConnectionResetError

    async with attempt(three, healing, before=crash) as recorded:
        task = asyncio.create_task(run_task(recorded.context))
        await until((marks / "hangs").exists, "the second step hangs", timeout=60)
        (marks / "go").touch()
        recorded.ask("resume_from_step", "step-1")
        with pytest.raises(ConnectionResetError):
            await task
    assert three.steps == {}
    await run(three, healing)
    assert [outcome for _, _, outcome, _ in three.answers] == ["ack"]
    assert ran(marks) == {"1": ["1", "1"], "2": ["1", "1"], "3": ["1"]}


async def test_what_is_asked_before_the_first_attempt(
    healing: WorkerSettings, three: Kept, marks: Path
) -> None:
    (marks / "go").touch()

    async with attempt(three, healing) as recorded:
        recorded.ask("retry_step", "step-1")
        await run_task(recorded.context)
    assert three.answers[0][2:] == ("ack", "step 1 (step-1) runs again in the same workspace")
    assert ran(marks)["1"] == ["1"]


async def test_what_is_asked_after_the_last_step(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """Going back is possible until the task is published; trying a finished step again is not."""
    kept = new_task(f"echo 1 >> {marks}/1; echo one > one", task={"git": {"newBranch": "result"}})
    asked: list[str] = []

    def ask_at(call: str, action: str) -> Callable[[str], None]:
        def before(name: str) -> None:
            if name == call and not asked:
                asked.append(name)
                recorded.ask(action, "step-1")  # type: ignore[arg-type]

        return before

    async with attempt(kept, healing, before=ask_at("save_step", "resume_from_step")) as recorded:
        await run_task(recorded.context)
    assert kept.answers[-1][2] == "ack"
    assert (marks / "1").read_text() == "1\n1\n"
    assert origin.files("result") == ["README.md", "one"]
    late = "all steps are finished, and the task is being published"
    for call, action, why in (
        ("save_step", "retry_step", "all steps are finished"),
        ("put_artifact logs/execute.log", "resume_from_step", late),
    ):
        asked.clear()
        again = new_task("echo one > one", task={"publish": {"mode": "none"}})
        async with attempt(again, healing, before=ask_at(call, action)) as recorded:
            await run_task(recorded.context)
        assert again.answers[-1][2:] == ("rejected", why)
