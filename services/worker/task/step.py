"""The attempts of one step, until one succeeds or nothing more may be tried (H-2, H-4, H-5, H-9)."""

from __future__ import annotations

import time
from typing import NamedTuple

from services.worker.heal.budgets import Strategy
from services.worker.task import checkpoints, prompt, recovery
from services.worker.task.attempt import Done, Interrupted, attempt
from services.worker.task.hard_reset import hard_reset
from services.worker.task.healing import Healing
from services.worker.task.run import TaskRun
from sluicegate import tracing
from sluicegate.worker.outcome import JobFailed, JobReleased


class ComeBy(NamedTuple):
    """How an attempt comes about. rebuilt: no other one has worked in its workspace. wish: a person's."""

    strategy: Strategy | None = None
    rebuilt: bool = True
    wish: str | None = None


async def run_step(run: TaskRun, index: int, how: ComeBy) -> ComeBy:
    """Take the step to its end, its checkpoint stored, or to where a person wants the task to go on instead.

    Returns how the next step's first attempt comes about. Raises JobFailed when this one has failed for good,
    or for this attempt of the job.
    """
    with tracing.spans().step(index, run.task.task.steps[index].id):
        await run.checkpoint(index)
        return await _to_its_end(run, Healing(run, index), how)


async def _to_its_end(run: TaskRun, healing: Healing, how: ComeBy) -> ComeBy:
    began = time.monotonic()
    await healing.story.started(healing.next_attempt)
    try:
        done = await _attempts(run, healing, how)
        if isinstance(done, ComeBy):
            return done
        await checkpoints.save(run, healing.index, healing.budget.begun, done.diff, done.summary)
    except JobFailed as error:
        await healing.story.failed(healing.budget.begun, error, healing.budget.last)
        raise
    finally:
        run.ctx.metrics.step_duration_seconds.observe(time.monotonic() - began)
    await healing.finished(done.diff, done.summary)
    return ComeBy(rebuilt=False)


async def _attempts(run: TaskRun, healing: Healing, how: ComeBy) -> Done | ComeBy:
    """What the successful attempt has done; or how another step comes about, which a person wants now."""
    await healing.record_lost()
    if how.strategy is None and healing.budget.last is not None:
        how = ComeBy("queue_retry")
    while True:
        await run.checkpoint(healing.index)
        if (asked := run.ctx.recovery) is not None:
            if (honoured := await recovery.honour(run, asked)) is not None:
                how = ComeBy("operator", honoured.rebuilt or how.rebuilt, honoured.wish)
            if run.finished != healing.index:
                return how
            continue
        if healing.nothing_left:
            raise await healing.give_up()
        await run.inbox.fetch()
        await healing.begin(how.strategy)
        outcome = await _attempt(run, healing, how)
        if isinstance(outcome, Done):
            return outcome
        how = outcome
        if how.strategy == "hard_reset":
            await healing.count_hard_reset()
            with tracing.spans().hard_reset():
                await hard_reset(run, healing.index)


async def _attempt(run: TaskRun, healing: Healing, how: ComeBy) -> Done | ComeBy:
    """What the attempt that has begun has done, or how the next one comes about."""
    healing.told = prompt.write(run, healing, rebuilt=how.rebuilt, wish=how.wish)
    with tracing.spans().step_attempt(healing.index, healing.budget.begun, how.strategy) as span:
        try:
            outcome = await attempt(run, healing)
        except JobReleased:
            await healing.hand_back()
            raise
        match outcome:
            case Done():
                await healing.succeeded(outcome.diff, outcome.summary)
                span.note(outcome="finished")
                return outcome
            case Interrupted():
                await healing.interrupted()
                span.note(outcome="interrupted")
                return ComeBy("operator", rebuilt=False)
        move = await healing.failed(outcome.fault, outcome.diff)
        last = healing.budget.last
        span.failed(last.failure_class if last else outcome.fault.failure_class)
        span.note(next=move.strategy or "none")
    if move.strategy is None or move.strategy == "queue_retry":
        raise healing.end(outcome.fault, move)
    return ComeBy(move.strategy, rebuilt=move.strategy == "hard_reset")
