"""What a worker counts of the steps of its tasks, as its /metrics shows it (H-12)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.worker.task.handler import run_task
from sluicegate.settings import WorkerSettings
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask, failure, run
from tests.support.wait import until


def figures(kept: Kept, *names: str) -> dict[str, float]:
    """What is not 0 of these metrics, by name and labels without their prefix."""
    return {
        "/".join((sample.name.removeprefix("sluicegate_"), *sample.labels.values())): sample.value
        for family in kept.registry.collect()
        for sample in family.samples
        if sample.value
        and sample.name.removeprefix("sluicegate_").startswith(names)
        and not sample.name.endswith(("_created", "_bucket", "_sum"))
    }


async def test_a_step_that_gets_nowhere(healing: WorkerSettings, new_task: NewTask) -> None:
    """H-12: attempts and exhaustion by class and strategy, no-progress decisions, one duration a step."""
    kept = new_task("echo one > one", "echo boom; exit 3")
    await failure(kept, healing)
    assert figures(kept, "self_heal_", "step_") == {
        "self_heal_attempts_total/transient_runtime/soft_reset/failed": 1,
        "self_heal_attempts_total/stuck_no_progress/hard_reset/failed": 1,
        "self_heal_exhausted_total/stuck_no_progress/hard_reset": 1,
        "step_timeouts_total/no_progress": 2,
        "step_duration_seconds_count": 2,
    }


@pytest.mark.parametrize(("limit", "kind"), [("stepWallSeconds", "wall"), ("stepIdleSeconds", "idle")])
async def test_a_step_that_hangs_and_heals(
    healing: WorkerSettings, new_task: NewTask, limit: str, kind: str
) -> None:
    """H-12: by what noticed it, and by what healed it."""
    kept = new_task(
        "test $SLUICEGATE_STEP_ATTEMPT = 2 || sleep 600",
        task={"limits": {limit: 1.0}, "publish": {"mode": "none"}},
    )
    await run(kept, healing)
    assert figures(kept, "self_heal_", "step_") == {
        "self_heal_attempts_total/transient_runtime/soft_reset/recovered": 1,
        "self_heal_recovered_total/transient_runtime/soft_reset": 1,
        f"step_timeouts_total/{kind}": 1,
        "step_duration_seconds_count": 1,
    }


async def test_an_attempt_that_a_person_wanted(
    healing: WorkerSettings, new_task: NewTask, tmp_path: Path
) -> None:
    """H-12: nothing had failed, so it has healed nothing."""
    running = tmp_path / "running"
    kept = new_task(
        f"touch {running}; test $SLUICEGATE_STEP_ATTEMPT = 2 || sleep 600", task={"publish": {"mode": "none"}}
    )
    async with attempt(kept, healing) as recorded:
        task = asyncio.create_task(run_task(recorded.context))
        await until(running.exists, "the step runs", timeout=60)
        recorded.ask("retry_step", "step-1")
        await task
    assert figures(kept, "self_heal_") == {}
