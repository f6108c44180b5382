"""A run that an operator pauses: at its next checkpoint, or at once, with all that it has started."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import psutil
import pytest

from sluicegate.model import HandoffSummary, LiveControl, Recovery
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobCancelled
from sluicegate.worker.process import CommandResult
from tests.support.recorded_context import Kept, Recorded, attempt
from tests.support.tasks import NewTask
from tests.support.wait import until

BANNER = "== PAUSED FOR OPERATOR =="
TREE = "sh -c 'while :; do sleep 0.05; done' & (setsid sleep 60 &) ; while :; do echo x; sleep 0.01; done"


@pytest.fixture
def kept(new_task: NewTask) -> Kept:
    return new_task("true")


def want(opened: Recorded, version: int, **fields: Any) -> None:
    opened.running.control.observe(
        LiveControl(**{"paused": False, "hard": False, "takeover": False, "version": version, **fields})
    )


def tree() -> list[psutil.Process]:
    """What commands of this process consist of: all below their guards."""
    guards = {each for each in psutil.Process().children(recursive=True) if _is_guard(each)}
    found = set()
    for each in guards:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.update(each.children(recursive=True))
    return list(found - guards)


def _is_guard(process: psutil.Process) -> bool:
    try:
        return "guard.program" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def states() -> set[str]:
    """A child that ended while its shell stands still is a zombie until that goes on; a shell whose new child
    was stopped before its exec waits for it in disk sleep. Neither runs.
    """
    found = set()
    for each in tree():
        try:
            found.add(each.status())
        except psutil.NoSuchProcess:
            continue
    return found - {psutil.STATUS_ZOMBIE, psutil.STATUS_DISK_SLEEP}


async def started(opened: Recorded, script: str, **fields: Any) -> asyncio.Task[CommandResult]:
    running = asyncio.create_task(opened.context.run(["sh", "-c", script], stage="execute", **fields))
    await until(lambda: len(tree()) >= 3, "the tree is there")
    return running


async def test_a_pause_shows_in_the_terminal_at_the_next_checkpoint(
    kept: Kept, worker_settings: WorkerSettings, tmp_path: Path
) -> None:
    """L-5: a log event of the run's terminal, and its log file."""
    log = tmp_path / "step.log"
    async with attempt(kept, worker_settings) as opened:
        want(opened, 1, paused=True)
        waiting = asyncio.create_task(
            opened.context.checkpoint(stage="execute", step_id="step-1", step_index=0, log_path=log)
        )
        await until(lambda: kept.kinds("task.paused"), "it waits")
        want(opened, 2)
        await asyncio.wait_for(waiting, 5)
    (shown,) = kept.told("log")
    assert {name: shown[name] for name in ("stream", "stage", "stepId", "stepIndex")} == {
        "stream": "pty", "stage": "execute", "stepId": "step-1", "stepIndex": 0,
    }  # fmt: skip
    assert shown["text"].split() == BANNER.split()
    assert log.read_bytes().split() == BANNER.encode().split()
    assert kept.kinds("task.") == ["task.paused", "task.resumed"]


async def test_a_quiesce_does_not_say_that_an_operator_paused_the_run(
    kept: Kept, worker_settings: WorkerSettings
) -> None:
    async with attempt(kept, worker_settings) as opened:
        opened.running.holds.set("worker_pause", True)
        waiting = asyncio.create_task(opened.context.checkpoint())
        await until(lambda: kept.kinds("task.paused"), "it waits")
        opened.running.holds.set("worker_pause", False)
        await asyncio.wait_for(waiting, 5)
    assert kept.told("log") == []


async def test_a_hard_pause_stops_the_whole_tree_and_a_resume_lets_it_go_on(
    kept: Kept, worker_settings: WorkerSettings, tmp_path: Path
) -> None:
    """L-5: at once, without a checkpoint; children of other groups and sessions too."""
    log = tmp_path / "step.log"
    async with attempt(kept, worker_settings) as opened:
        running = await started(opened, TREE, step_id="step-1", log_path=log)
        want(opened, 1, paused=True, hard=True)
        await until(lambda: kept.kinds("task.paused"), "it stands still")
        await until(lambda: states() == {psutil.STATUS_STOPPED}, "nothing of it runs")
        assert opened.running.at_rest
        assert kept.told("task.paused") == [
            {"kind": "task.paused", "reason": "operator", "hard": True, "stepId": "step-1"}
        ]
        await until(lambda: BANNER in kept.output("execute"), "the terminal says so")
        await until(lambda: BANNER.encode() in log.read_bytes(), "so does the log")
        want(opened, 2)
        await until(lambda: kept.kinds("task.resumed"), "it goes on")
        assert psutil.STATUS_STOPPED not in states()
        assert not opened.running.at_rest
        size = log.stat().st_size
        await until(lambda: log.stat().st_size > size, "it puts out more")
        opened.running.interrupt("cancel")
        with pytest.raises(JobCancelled):
            await running
    assert tree() == []


async def test_a_hard_pause_that_turns_soft_goes_on_to_its_checkpoint(
    kept: Kept, worker_settings: WorkerSettings
) -> None:
    async with attempt(kept, worker_settings) as opened:
        running = await started(opened, TREE.replace("echo x", "[ ! -e go ] || exit 0"))
        want(opened, 1, paused=True, hard=True)
        await until(lambda: kept.kinds("task.paused"), "it stands still")
        want(opened, 2, paused=True)
        await until(lambda: kept.kinds("task.resumed"), "it goes on")
        (opened.context.workspace / "go").touch()
        assert (await asyncio.wait_for(running, 20)).exit_code == 0
        waiting = asyncio.create_task(opened.context.checkpoint())
        await until(lambda: len(kept.kinds("task.paused")) == 2, "it waits at its checkpoint")
        want(opened, 3)
        await asyncio.wait_for(waiting, 5)


async def test_nothing_is_started_in_a_run_that_was_stopped(
    kept: Kept, worker_settings: WorkerSettings
) -> None:
    """L-5: between two commands there is nothing to stop, and there must not be."""
    async with attempt(kept, worker_settings) as opened:
        want(opened, 1, paused=True, hard=True)
        running = asyncio.create_task(opened.context.run(["true"]))
        await until(lambda: kept.kinds("task.paused"), "it waits")
        assert tree() == []
        want(opened, 2)
        assert (await asyncio.wait_for(running, 20)).exit_code == 0


async def test_a_stopped_run_can_be_cancelled(kept: Kept, worker_settings: WorkerSettings) -> None:
    """H-9: cancel comes first. C-12: no stopped process is left behind."""
    async with attempt(kept, worker_settings) as opened:
        running = await started(opened, TREE)
        want(opened, 1, paused=True, hard=True)
        await until(lambda: kept.kinds("task.paused"), "it stands still")
        opened.running.interrupt("cancel")
        with pytest.raises(JobCancelled):
            await asyncio.wait_for(running, 20)
    assert tree() == []


async def test_a_lost_lease_kills_what_was_stopped(kept: Kept, worker_settings: WorkerSettings) -> None:
    async with attempt(kept, worker_settings) as opened:
        running = await started(opened, TREE)
        want(opened, 1, paused=True, hard=True)
        await until(lambda: kept.kinds("task.paused"), "it stands still")
        opened.running.interrupt("lost")
        with pytest.raises(Exception, match="no longer holds"):
            await asyncio.wait_for(running, 20)
    assert tree() == []


async def test_a_handler_sees_what_is_asked_of_its_steps_and_answers(
    kept: Kept, worker_settings: WorkerSettings
) -> None:
    """H-10, L-9: what the answer says is redacted like all that leaves the worker."""
    asked = Recovery(id="1-1", action="retry_step", step_id="a", requested_by_user_id="ann", updated_at="t")
    summary = HandoffSummary(id="2-1", text="fixed it", by_user_id="ann", updated_at="t")
    async with attempt(kept, worker_settings) as opened:
        ctx = opened.context
        assert (ctx.recovery, ctx.summary) == (None, None)
        heard = asyncio.create_task(ctx.recovery_after())
        await asyncio.sleep(0)
        want(opened, 1, recovery=asked, summary=summary)
        assert await asyncio.wait_for(heard, 5) == asked == ctx.recovery
        assert ctx.summary == summary
        ctx.redactor.add("hunter2-hunter2")
        await ctx.reject(asked, "the password is hunter2-hunter2")
        await ctx.acknowledge(asked)
        await ctx.passed_on(summary)
    assert kept.answers == [
        ("recovery", "1-1", "rejected", "the password is [redacted]"),
        ("recovery", "1-1", "ack", None),
        ("summary", "2-1", "ack", None),
    ]
