"""One attempt of a step: its command under a watch, and what came of it."""

from __future__ import annotations

import asyncio
import os
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

from services.worker.heal import fault
from services.worker.heal.fault import Fault
from services.worker.heal.watch import StepWatch
from services.worker.runtimes.output import Reading
from services.worker.task import checkpoints, environment, recovery
from services.worker.task.checkpoints import Diff
from services.worker.task.healing import Healing
from services.worker.task.run import TaskRun
from sluicegate import tracing
from sluicegate.worker.outcome import JobFailed
from sluicegate.worker.process import CommandNotStarted, CommandResult

if TYPE_CHECKING:
    from sluicegate.worker.holds import Holds
    from sluicegate.worker.process.command import Command

SHOWN_MESSAGE: Final = 300
"""Characters of an agent's last message that stand in its step's summary."""


class Done(NamedTuple):
    diff: Diff
    summary: str


class Failed(NamedTuple):
    """diff: what is there all the same; None when that cannot be read."""

    fault: Fault
    diff: Diff | None


class Interrupted(NamedTuple):
    """A person wants something else of the steps; nothing has failed."""


class AttemptWatch:
    """The step's limits, and people who ask for another attempt."""

    def __init__(self, run: TaskRun, limits: StepWatch) -> None:
        self._run = run
        self.limits = limits

    def heard(self, chunk: bytes) -> None:
        self.limits.heard(chunk)

    async def over(self, command: Command, holds: Holds) -> None:
        limit = asyncio.ensure_future(self.limits.over(command, holds))
        asked = asyncio.ensure_future(recovery.wanted(self._run))
        try:
            await asyncio.wait((limit, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
            asked.cancel()


async def attempt(run: TaskRun, healing: Healing) -> Done | Failed | Interrupted:
    """Run the step's command once. Cancel, release, a lost lease and the job's own time limit are raised."""
    allowed, settings = healing.allowed, run.ctx.settings
    watch = AttemptWatch(
        run,
        StepWatch(
            wall_seconds=allowed.wall_seconds,
            idle_seconds=allowed.idle_seconds,
            cpu_percent=settings.step_idle_cpu_percent,
        ),
    )
    try:
        with run.ctx.clocks(watch.limits.clocks, (allowed.wall_seconds, allowed.idle_seconds)) as tell:
            watch.limits.revived = tell
            result = await _run_command(run, healing, watch)
    except CommandNotStarted as error:
        return Failed(Fault("deterministic_policy", str(error), "not started"), None)
    limits = watch.limits
    if result.timed_out and limits.limit is None:
        return Interrupted()
    tracing.spans().note(exit_code=result.exit_code, signal=result.signal, limit=limits.limit)
    if result.timed_out and limits.limit is not None:
        run.ctx.metrics.step_timeouts.labels(limits.limit).inc()
        found: Fault | None = fault.over_limit(limits.limit, result.output, run.runtime, allowed)
        reading = Reading()
    else:
        reading = run.runtime.read(result.output)
        found = fault.of_command(result, reading, settings.failure_rules, run.runtime)
    if found is not None:
        return Failed(found, await _changes_so_far(run, healing.index))
    try:
        diff = await checkpoints.take(run, healing.index)
    except JobFailed as error:
        return Failed(Fault(error.failure_class or "transient_runtime", error.message, "changes"), None)
    return Done(diff, _summary(diff, result, reading))


async def _run_command(run: TaskRun, healing: Healing, watch: AttemptWatch) -> CommandResult:
    ctx, place, index = run.ctx, run.place, healing.index
    choice = run.task.task.runtime
    argv = run.runtime.command(
        script=place.script(index),
        prompt=place.prompt(index),
        model=choice.model,
        effort=choice.effort,
        arguments=ctx.settings.runtime_arguments(run.runtime.name),
    )
    run.note("execute", f"{healing.name}, attempt {healing.budget.begun}: $ {shlex.join(argv)}")
    try:
        return await ctx.run(
            argv,
            cwd=place.tree,
            env=_environment(run, healing),
            pty=True,
            watch=watch,
            stage="execute",
            step_id=healing.step.id,
            step_index=index,
            attempt=healing.budget.begun,
            log_path=place.step_log(index),
        )
    finally:
        await run.store_log(f"logs/steps/{place.step_log(index).name}", place.step_log(index))


def _environment(run: TaskRun, healing: Healing) -> dict[str, str]:
    place, ctx, index = run.place, run.ctx, healing.index
    own = {
        "JOB_ID": ctx.job.id,
        "STEP_ID": healing.step.id,
        "STEP_INDEX": str(index),
        "STEP_ATTEMPT": str(healing.budget.begun),
        "RETRY_CONTEXT": str(place.retry_context),
        "PROMPT_FILE": str(place.prompt(index)),
        "INBOX": str(place.inbox),
    }
    step = environment.for_step(os.environ, ctx.settings, run.secrets.env, own)
    # An agent that traces itself goes on from here, or from the job's producer where this worker does not.
    trace = tracing.current() or ctx.trace
    return step | trace.environment if trace else step


async def _changes_so_far(run: TaskRun, index: int) -> Diff | None:
    """What a failed attempt has changed; two attempts after which that cannot be read are alike in it."""
    try:
        return await checkpoints.measure(run, index)
    except JobFailed as error:
        run.note("execute", f"what it has changed cannot be read: {error.message}")
        return None


def _summary(diff: Diff, result: CommandResult, reading: Reading) -> str:
    number = len(diff.changes)
    summary = f"{number} {'file' if number == 1 else 'files'} changed in {result.duration_seconds:.1f} s"
    said = " ".join((reading.message or "").split())
    if len(said) > SHOWN_MESSAGE:
        said = said[: SHOWN_MESSAGE - 3] + "..."
    return f"{summary}: {said}" if said else summary
