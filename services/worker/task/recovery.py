"""What a person asks of the steps of a running task: once more, in a new workspace, or from an earlier one.

Asked for at any time, done before the next attempt begins (H-9), for which the one that runs is interrupted
at once (70-24). None of it uses a budget. It is answered once it is done, and may be done twice until then.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from services.worker.task.hard_reset import hard_reset
from services.worker.task.healing import Healing
from services.worker.task.run import TaskRun, step_name
from sluicegate.errors import SluicegateError

if TYPE_CHECKING:
    from sluicegate.model import Recovery


class Honoured(NamedTuple):
    """`run.finished` is the step to go on with. rebuilt: in a new workspace. wish: the reason given."""

    rebuilt: bool
    wish: str | None


async def wanted(run: TaskRun) -> Recovery:
    """Wait for something that can be done; refuse what cannot, without disturbing what runs."""
    asked = None
    while True:
        asked = await run.ctx.recovery_after(asked)
        if (why := _hindrance(run, asked)) is None:
            return asked
        with contextlib.suppress(SluicegateError):  # it is refused again before the next attempt
            await run.ctx.reject(asked, why)


async def honour(run: TaskRun, asked: Recovery) -> Honoured | None:
    """Do it, or say why not (None)."""
    if (why := _hindrance(run, asked)) is not None:
        await run.insist(lambda: run.ctx.reject(asked, why))
        return None
    index = _index(run, asked)
    name = step_name(run.task.task.steps[index], index)
    back = asked.action == "resume_from_step"
    rebuilt = back or asked.action == "hard_reset_step" or asked.strategy == "hard_reset"
    if back:
        await run.insist(lambda: run.ctx.drop_steps(index))
        run.finished = index
    if rebuilt:
        await hard_reset(run, index)
    if back:
        healing = Healing(run, index)
        await healing.story.resumed("Going back to", healing.next_attempt, "operator")
    sentence = f"{name} runs again in {'a rebuilt' if rebuilt else 'the same'} workspace"
    await run.insist(lambda: run.ctx.acknowledge(asked, sentence))
    return Honoured(rebuilt, asked.reason)


async def turn_down(run: TaskRun, why: str) -> None:
    """Answer what is asked too late."""
    if (asked := run.ctx.recovery) is not None:
        await run.insist(lambda: run.ctx.reject(asked, why))


def _hindrance(run: TaskRun, asked: Recovery) -> str | None:
    """Why it cannot be done: only the step at hand can be tried again, only what was reached gone back to."""
    steps, at_hand, index = run.task.task.steps, run.finished, _index(run, asked)
    if asked.action == "resume_from_step":
        if index <= at_hand and index < len(steps):
            return None
        return f"{step_name(steps[index], index)} has not been reached"
    if at_hand == len(steps):
        return "all steps are finished"
    if index != at_hand:
        return f"the task is at {step_name(steps[at_hand], at_hand)}; resume from the other step instead"
    return None


def _index(run: TaskRun, asked: Recovery) -> int:
    """Of the step that is meant; without an id the one at hand. Ids were checked when it was asked."""
    ids = [step.id for step in run.task.task.steps]
    return run.finished if asked.step_id is None else ids.index(asked.step_id)
