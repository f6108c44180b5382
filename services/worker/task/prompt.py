"""The files that an attempt of a step reads: its script, its prompt, its inbox, and why it is another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from services.worker.heal import retry_context
from services.worker.heal.retry_context import RetryContext
from services.worker.task import skills
from services.worker.task.healing import Healing, Told
from services.worker.task.run import TaskRun
from sluicegate.worker.texts import storable, storable_all

if TYPE_CHECKING:
    from sluicegate.model import HandoffSummary, OperatorMessage


def write(run: TaskRun, healing: Healing, *, rebuilt: bool, wish: str | None = None) -> Told:
    """Returns what people left for the agent that stands in the prompt now.

    rebuilt: whether the workspace is new. wish: of the person who asked for this attempt. The prompt is for
    agents; a script is run as it was written.
    """
    place, index = run.place, healing.index
    task, step = run.task.task, healing.step
    own = step.instructions or task.instructions
    place.script(index).write_text(own if own.endswith("\n") else own + "\n")
    context = _context(run, healing, rebuilt=rebuilt, wish=wish)
    handoff, messages = run.ctx.summary, run.inbox.unread
    objective = f"Objective:\n{task.instructions}\n\n" if step.instructions else ""
    place.prompt(index).write_text(
        skills.words(step.skill or task.skill, run.skills)
        + objective
        + own
        + "\n"
        + _news(run, context, handoff, messages)
    )
    place.retry_context.unlink(missing_ok=True)
    if context is not None:
        place.retry_context.write_bytes(msgspec.json.encode(context))
    return Told(handoff, messages[-1].id if messages else None)


def _news(
    run: TaskRun,
    context: RetryContext | None,
    handoff: HandoffSummary | None,
    messages: Sequence[OperatorMessage],
) -> str:
    """What came up since the instructions were written."""
    news = []
    if context is not None:
        news.append(retry_context.in_words(context))
    if handoff is not None:
        text = storable(run.ctx.redactor, handoff.text.strip())
        news.append(f"A person has worked in this workspace meanwhile, and says:\n\n{text}\n")
    for message in messages:
        text = storable(run.ctx.redactor, message.message.strip())
        news.append(f"A message from {message.actor_user_id}, sent at {message.created_at}:\n\n{text}\n")
    return "".join(f"\n{each}" for each in news)


def _context(run: TaskRun, healing: Healing, *, rebuilt: bool, wish: str | None) -> RetryContext | None:
    """None for a first attempt. Secrets are replaced, also in what the producer wrote."""
    how, budget = healing.strategy, healing.budget
    if how is None:
        return None
    last = budget.last
    context = RetryContext(
        objective=run.task.task.instructions,
        step_id=healing.step.id,
        step_index=healing.index,
        step_title=healing.step.title,
        attempt=budget.begun,
        strategy=how,
        failure_class=last.failure_class if last else None,
        failure_summary=last.summary if last else "no attempt has failed; a person wants another one",
        constraints=retry_context.constraints(
            healing.allowed,
            failed=last is not None,
            rebuilt=rebuilt,
            left=healing.allowed.attempts - budget.used,
            wish=wish,
        ),
        changed_files=last.changed_files if last else [],
        diff_hash=last.diff_hash if last else None,
    )
    return msgspec.convert(storable_all(run.ctx.redactor, msgspec.to_builtins(context)), RetryContext)
