"""Stage `execute`: the steps that are not finished yet, in order; the first that fails ends the run."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.worker.task import recovery
from services.worker.task.healing import Healing
from services.worker.task.run import TaskRun, step_count
from services.worker.task.step import ComeBy, run_step

PLAN_BYTES: Final = 16 * 1024
"""A plan whose titles take more is told without them: an event has its limit."""


async def execute(run: TaskRun) -> None:
    """Until all steps are finished. A person may send the task back to an earlier one meanwhile."""
    steps = run.task.task.steps
    if run.ctx.lease_token > 1:
        run.facts = await run.insist(run.ctx.facts)
    await _tell_plan(run)
    how = ComeBy()
    while True:
        while run.finished < len(steps):
            how = await run_step(run, run.finished, how)
        await run.ctx.checkpoint(stage="execute", log_path=run.place.stage_log("execute"))
        if (asked := run.ctx.recovery) is None:
            return
        if (honoured := await recovery.honour(run, asked)) is not None:
            how = ComeBy("operator", honoured.rebuilt, honoured.wish)


async def _tell_plan(run: TaskRun) -> None:
    steps = run.task.task.steps
    plan: list[dict[str, Any]] = [
        {"stepId": step.id, "stepIndex": index, "title": step.title} for index, step in enumerate(steps)
    ]
    if len(msgspec.json.encode(plan)) > PLAN_BYTES:
        plan = [{"stepId": each["stepId"], "stepIndex": each["stepIndex"]} for each in plan]
    message = f"{step_count(len(steps))}, {run.finished} finished"
    await run.ctx.event("task.steps.plan", message, steps=plan, finished=run.finished)
    if 0 < run.finished < len(steps):
        healing = Healing(run, run.finished)
        await healing.story.resumed("Resuming from", healing.next_attempt, None)
    elif run.finished:
        await run.ctx.event("task.resume.from_step", "All steps are finished; going on after them")
