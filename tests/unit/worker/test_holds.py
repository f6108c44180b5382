"""What holds an attempt at its checkpoints, and the clock by which its commands are timed."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from sluicegate.settings import WorkerSettings
from sluicegate.worker.holds import Holds
from sluicegate.worker.outcome import JobCancelled, JobReleased
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask
from tests.support.wait import until


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the holds' clock: what a test writes here."""
    clock = [100.0]
    monkeypatch.setattr("sluicegate.worker.holds.time.monotonic", lambda: clock[0])
    return clock


@pytest.fixture
def kept(new_task: NewTask) -> Kept:
    return new_task("true")


def test_an_attempt_is_held_until_the_last_hold_has_ended() -> None:
    holds = Holds()
    assert not holds
    holds.set("worker_pause", True)
    holds.set("operator", True)
    holds.set("worker_pause", False)
    assert holds.reasons == {"operator"}
    holds.set("operator", False)
    assert not holds


def test_the_clock_stands_still_while_anything_holds(now: list[float]) -> None:
    """H-1."""
    holds = Holds()
    now[0] = 103
    assert holds.worked_seconds == 3
    holds.set("worker_pause", True)
    now[0] = 110
    holds.set("operator", True)  # a second hold does not count the same time twice
    holds.set("operator", True)
    assert holds.worked_seconds == 3
    now[0] = 120
    holds.set("worker_pause", False)
    now[0] = 130
    holds.set("operator", False)
    assert holds.worked_seconds == 3
    now[0] = 131
    assert holds.worked_seconds == 4


async def test_waiting_for_the_clock_waits_through_a_hold() -> None:
    holds = Holds()
    waiting = asyncio.ensure_future(holds.worked(holds.worked_seconds + 0.05))
    await asyncio.sleep(0)
    holds.set("operator", True)
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()
    holds.set("operator", False)
    await asyncio.wait_for(waiting, 5)


async def test_each_hold_is_told_as_it_begins_and_ends(kept: Kept, worker_settings: WorkerSettings) -> None:
    """P-7, 70-23."""
    async with attempt(kept, worker_settings) as opened:
        running = opened.running
        running.holds.set("worker_pause", True)
        waiting = asyncio.create_task(opened.context.checkpoint(step_id="step-1"))
        await until(lambda: kept.kinds("task.paused"), "it waits")
        assert running.waiting_at_checkpoint
        running.holds.set("operator", True)
        await until(lambda: len(kept.kinds("task.paused")) == 2, "the second is told")
        running.holds.set("worker_pause", False)
        await until(lambda: kept.kinds("task.resumed"), "the first has ended")
        assert not waiting.done()
        running.holds.set("operator", False)
        await asyncio.wait_for(waiting, 5)
        assert not running.waiting_at_checkpoint
    assert [e.payload for e in kept.events if e.payload and e.payload["kind"] != "log"] == [
        {"kind": "task.paused", "reason": "worker_pause", "stepId": "step-1"},
        {"kind": "task.paused", "reason": "operator", "stepId": "step-1"},
        {"kind": "task.resumed", "reason": "worker_pause", "stepId": "step-1"},
        {"kind": "task.resumed", "reason": "operator", "stepId": "step-1"},
    ]


@pytest.mark.parametrize(("why", "raised"), [("cancel", JobCancelled), ("release", JobReleased)])
async def test_who_is_asked_to_end_waits_no_longer(
    kept: Kept, worker_settings: WorkerSettings, why: str, raised: type[Exception]
) -> None:
    """C-11."""
    async with attempt(kept, worker_settings) as opened:
        opened.running.holds.set("operator", True)
        waiting = asyncio.create_task(opened.context.checkpoint())
        await until(lambda: kept.kinds("task.paused"), "it waits")
        opened.running.interrupt(why)  # type: ignore[arg-type]
        with pytest.raises(raised):
            await asyncio.wait_for(waiting, 5)
    assert not kept.kinds("task.resumed")


async def test_a_commands_time_limit_stands_still_while_the_attempt_is_held(
    kept: Kept, worker_settings: WorkerSettings
) -> None:
    """H-1: what people hold up is not what takes too long."""
    script = "import time; time.sleep(1)"
    async with attempt(kept, worker_settings) as opened:
        opened.running.holds.set("operator", True)
        began = time.monotonic()
        result = await opened.context.run([sys.executable, "-c", script], pty=False, timeout_seconds=0.01)
        assert time.monotonic() - began > 1
        assert (result.timed_out, result.exit_code) == (False, 0)
        opened.running.holds.set("operator", False)
        result = await opened.context.run(["sleep", "60"], pty=False, timeout_seconds=0.01)
        assert result.timed_out
