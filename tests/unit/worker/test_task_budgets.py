"""What a step uses is kept with the job beforehand: no crash, release or retry gives it more (H-2)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from services.worker.task.handler import run_task
from sluicegate.errors import LeaseLost, StoreUnavailable
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobCancelled, JobReleased
from tests.support.healing import record, story, told
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask, failure, run
from tests.support.wait import until


class Crashed(BaseException):
    """The worker is gone: nothing more of the attempt happens."""


async def crash(kept: Kept, healing: WorkerSettings, call: str, times: int = 1) -> None:
    """Run until a call is made for the n-th time, which it never is; the lease expires then."""
    made = []

    def before(name: str) -> None:
        made.append(name)
        if made.count(call) == times:
            raise Crashed

    with pytest.raises(Crashed):
        async with attempt(kept, healing, before=before) as recorded:
            await run_task(recorded.context)
    expired(kept)


def expired(kept: Kept) -> None:
    kept.job = msgspec.structs.replace(
        kept.job, attempt=kept.job.attempt + 1, failure_class="lease_expired", error_message="expired"
    )


async def dies_in_mid_attempt(kept: Kept, healing: WorkerSettings, marks: Path, runs: int) -> None:
    """The worker is gone while the step runs for the n-th time."""
    async with attempt(kept, healing) as recorded:
        running = asyncio.create_task(run_task(recorded.context))
        await until(lambda: len((marks / "ran").read_text().split()) == runs, "the step runs", timeout=60)
        kept.token += 1  # what it still says is refused
        recorded.running.interrupt("lost")
        with pytest.raises(LeaseLost):
            await running
        kept.token -= 1
    expired(kept)


@pytest.fixture
def hanging(new_task: NewTask, marks: Path) -> Kept:
    (marks / "ran").touch()
    return new_task("echo one > one", f"echo $SLUICEGATE_STEP_ATTEMPT >> {marks}/ran; sleep 600")


async def test_an_attempt_is_counted_before_it_begins(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-2: what cannot be counted does not run."""
    kept = new_task(f"touch {marks}/ran")
    await crash(kept, healing, "change_fact step_budget")
    assert not (marks / "ran").exists()
    assert "task.step.attempt.started" not in kept.kinds()


async def test_a_lost_attempt_is_used_and_the_next_claim_tells_of_it(
    healing: WorkerSettings, hanging: Kept, marks: Path
) -> None:
    """H-2, H-11: `kill -9` in mid-attempt, three times: then nothing is left, until the queue retries."""
    for runs in (1, 2, 3):
        await dies_in_mid_attempt(hanging, healing, marks, runs)
    assert (marks / "ran").read_text().split() == ["1", "2", "3"]
    before = len(hanging.events)
    error = await failure(hanging, healing)
    assert (error.retryable, error.failure_class) == (True, "transient_runtime")
    assert error.message == "attempt 3 was lost with its worker worker-3 (its 3 attempts are used up)"
    assert story(hanging, before) == [
        "resume.from_step", "step.started", "step.attempt.failed", "self_heal.exhausted", "step.failed",
    ]  # fmt: skip
    lost = told(hanging, "step.attempt.failed", "attempt", "lost", "workerId", "failureClass")
    assert lost == [(number, True, f"worker-{number}", "transient_runtime") for number in (1, 2, 3)]
    assert record(hanging, "attempt-2-1-1.json")["next"]["strategy"] == "queue_retry"
    assert told(hanging, "step.attempt.started", "attempt", "strategy")[1:] == [
        (1, None), (2, "queue_retry"), (3, "queue_retry"),
    ]  # fmt: skip
    await dies_in_mid_attempt(hanging, healing, marks, 4)
    assert (marks / "ran").read_text().split()[3:] == ["1"]


async def test_a_lease_that_expires_after_exhaustion_gives_nothing_back(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-2: only the worker's own word of failure does; here it died before it could give it."""
    kept = new_task(f"echo x >> {marks}/ran; echo boom; exit 1")
    await crash(kept, healing, "put_artifact state/self_heal/attempt-1-1-3.json")
    assert len((marks / "ran").read_text().split()) == 3
    await failure(kept, healing)
    assert len((marks / "ran").read_text().split()) == 3
    await failure(kept, healing)
    assert len((marks / "ran").read_text().split()) == 5


async def test_a_release_uses_nothing_and_gives_nothing(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-2, Q-14: a worker that stops in order ends no budget; failed attempts stay used."""
    kept = new_task(f"test -e {marks}/go || {{ echo boom; exit 1; }}; touch {marks}/hangs; sleep 600")
    for _ in range(2):
        async with attempt(kept, healing) as recorded:
            running = asyncio.create_task(run_task(recorded.context))
            await until(lambda: told(kept, "step.attempt.failed"), "the first has failed", timeout=60)
            (marks / "go").touch()
            await until((marks / "hangs").exists, "another one hangs", timeout=60)
            (marks / "hangs").unlink()
            recorded.running.interrupt("release")
            with pytest.raises(JobReleased):
                await running
    budget = json.loads(kept.facts["step_budget"])
    assert (budget["used"], budget.get("running")) == (1, None)
    assert told(kept, "step.attempt.failed", "attempt", "lost") == [(1, None)]
    (marks / "go").unlink()
    await failure(kept, healing)
    assert len(told(kept, "step.attempt.failed")) == 3


async def test_a_cancel_leaves_the_budget_alone(healing: WorkerSettings, hanging: Kept, marks: Path) -> None:
    async with attempt(hanging, healing) as recorded:
        running = asyncio.create_task(run_task(recorded.context))
        await until(lambda: (marks / "ran").read_text() != "", "the step runs", timeout=60)
        recorded.running.interrupt("cancel")
        with pytest.raises(JobCancelled):
            await running
    assert story(hanging)[-1] == "step.attempt.started"


async def test_a_store_that_is_away_delays_an_attempt_and_loses_none(
    healing: WorkerSettings, new_task: NewTask
) -> None:
    away = {"change_fact step_budget": 2, "put_artifact state/self_heal/attempt-1-1-1.json": 1}

    def before(call: str) -> None:
        if away.get(call):
            away[call] -= 1
            raise StoreUnavailable("restarting")

    kept = new_task("test $SLUICEGATE_STEP_ATTEMPT = 2 || { echo boom; exit 1; }")
    async with attempt(kept, healing, before=before) as recorded:
        await run_task(recorded.context)
    assert away == dict.fromkeys(away, 0)
    assert told(kept, "step.attempt.started", "attempt") == [(1,), (2,)]


async def test_another_step_begins_with_a_budget_of_its_own(
    healing: WorkerSettings, new_task: NewTask
) -> None:
    """H-2: the budget is a step's; hard resets are the job's."""
    flaky = "test $SLUICEGATE_STEP_ATTEMPT = 3 || {{ echo {}; exit 1; }}"
    kept = new_task(flaky.format("one"), flaky.format("two"))
    error = await failure(kept, healing)
    assert "no hard reset is left" in error.message
    assert told(kept, "step.attempt.started", "stepId", "attempt", "strategy") == [
        ("step-1", 1, None), ("step-1", 2, "soft_reset"), ("step-1", 3, "hard_reset"),
        ("step-2", 1, None), ("step-2", 2, "soft_reset"),
    ]  # fmt: skip


async def test_a_stale_worker_uses_nothing(healing: WorkerSettings, new_task: NewTask, marks: Path) -> None:
    """H-2: the lease fences the budget; who has lost it begins no attempt."""
    kept = new_task(f"echo x >> {marks}/ran; echo boom; exit 1")
    taken = []

    def before(call: str) -> None:
        if call == "change_fact step_budget":
            taken.append(call)
            if len(taken) == 3:  # counted, failed, and now the second is to be counted
                kept.token += 1

    with pytest.raises(LeaseLost):
        async with attempt(kept, healing, before=before) as recorded:
            await run_task(recorded.context)
    assert (marks / "ran").read_text() == "x\n"
    assert json.loads(kept.facts["step_budget"])["used"] == 1


async def test_the_budget_goes_with_the_step_that_is_at_hand(
    healing: WorkerSettings, new_task: NewTask
) -> None:
    """A worker that dies between two steps leaves the finished one's budget behind; it is nobody's."""
    kept = new_task("test $SLUICEGATE_STEP_ATTEMPT = 2 || { echo boom; exit 1; }; echo x > x", "echo y > y")
    await crash(kept, healing, "change_fact step_budget", times=4)
    assert list(kept.steps) == [0]
    before = len(kept.events)
    await run(kept, healing)
    assert told(kept, "step.attempt.started", "stepId", "attempt", "strategy")[-1] == ("step-2", 1, None)
    assert "step.attempt.failed" not in story(kept, before)
