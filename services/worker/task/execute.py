"""Stage `execute`: the steps that are not finished yet, in order; the first that fails ends the run."""

from __future__ import annotations

import os
import shlex
from typing import Any, Final

import msgspec

from services.worker.heal.classify import classify
from services.worker.runtimes.output import Reading
from services.worker.task import checkpoints, environment, skills
from services.worker.task.checkpoints import Diff
from services.worker.task.failures import failed
from services.worker.task.run import TaskRun, step_name
from sluicegate.worker.outcome import JobFailed
from sluicegate.worker.process import CommandNotStarted, CommandResult
from sluicegate.worker.texts import storable_all

PLAN_BYTES: Final = 16 * 1024
"""A plan whose titles take more is told without them: an event has its limit."""
NAMED_FILES: Final = 20
SHOWN_MESSAGE: Final = 300
"""Characters of an agent's last message that stand in its step's summary."""


async def execute(run: TaskRun) -> None:
    await _tell_plan(run)
    for index in range(run.finished, len(run.task.task.steps)):
        await run.ctx.checkpoint(
            stage="execute",
            step_id=run.task.task.steps[index].id,
            step_index=index,
            log_path=run.place.step_log(index),
        )
        await _step(run, index)


async def _tell_plan(run: TaskRun) -> None:
    steps = run.task.task.steps
    plan: list[dict[str, Any]] = [
        {"stepId": step.id, "stepIndex": index, "title": step.title} for index, step in enumerate(steps)
    ]
    if len(msgspec.json.encode(plan)) > PLAN_BYTES:
        plan = [{"stepId": each["stepId"], "stepIndex": each["stepIndex"]} for each in plan]
    await run.ctx.event(
        "task.steps.plan", f"{len(steps)} steps, {run.finished} finished", steps=plan, finished=run.finished
    )
    if 0 < run.finished < len(steps):
        name = step_name(steps[run.finished], run.finished)
        await run.step_event("task.resume.from_step", f"Resuming from {name}", run.finished)
    elif run.finished:
        await run.ctx.event("task.resume.from_step", "All steps are finished; going on after them")


async def _step(run: TaskRun, index: int) -> None:
    """One attempt of the step. Its checkpoint is stored before anything else begins."""
    step = run.task.task.steps[index]
    name = step_name(step, index)
    await run.step_event("task.step.started", f"Started {name}", index, title=step.title)
    attempt = 1
    try:
        diff, summary = await _attempt(run, index, attempt)
    except JobFailed as error:
        await run.step_event(
            "task.step.failed",
            f"{name} failed: {error.message}",
            index,
            level="error",
            attempt=attempt,
            failureClass=error.failure_class,
        )
        raise
    await checkpoints.save(run, index, attempt, diff, summary)
    await run.step_event(
        "task.step.finished",
        f"Finished {name}: {summary}",
        index,
        attempt=attempt,
        diffHash=diff.diff_hash,
        changedFiles=len(diff.changes),
        files=[file[:200] for file in diff.names[:NAMED_FILES]],
    )


async def _attempt(run: TaskRun, index: int, attempt: int) -> tuple[Diff, str]:
    """Run the step's command once; what it changed, and a sentence about it. Raises JobFailed."""
    name = step_name(run.task.task.steps[index], index)
    await run.step_event("task.step.attempt.started", f"{name}, attempt {attempt}", index, attempt=attempt)
    try:
        result = await _run_command(run, index, attempt)
        reading = _require_success(run, result)
        diff = await checkpoints.take(run, index)
    except JobFailed as error:
        run.note("execute", f"{name} failed: {error.message}")
        await run.step_event(
            "task.step.attempt.failed",
            f"{name}, attempt {attempt} failed: {error.message}",
            index,
            level="warn",
            attempt=attempt,
            failureClass=error.failure_class,
        )
        raise
    summary = _summary(diff, result, reading)
    run.note("execute", f"{name} finished: {summary}")
    await run.step_event(
        "task.step.attempt.finished",
        f"{name}, attempt {attempt}: {summary}",
        index,
        attempt=attempt,
        diffHash=diff.diff_hash,
    )
    return diff, summary


async def _run_command(run: TaskRun, index: int, attempt: int) -> CommandResult:
    step, place, ctx = run.task.task.steps[index], run.place, run.ctx
    script, prompt = place.script(index), place.prompt(index)
    _write_told(run, index)
    choice = run.task.task.runtime
    argv = run.runtime.command(
        script=script,
        prompt=prompt,
        model=choice.model,
        effort=choice.effort,
        arguments=ctx.settings.runtime_arguments(run.runtime.name),
    )
    run.note("execute", f"{step_name(step, index)}: $ {shlex.join(argv)}")
    try:
        return await ctx.run(
            argv,
            cwd=place.tree,
            env=_environment(run, index, attempt),
            pty=True,
            timeout_seconds=_wall_seconds(run),
            stage="execute",
            step_id=step.id,
            step_index=index,
            attempt=attempt,
            log_path=place.step_log(index),
        )
    except CommandNotStarted as error:
        raise failed(str(error), "deterministic_policy") from error
    finally:
        await run.store_log(f"logs/steps/{place.step_log(index).name}", place.step_log(index))


def _write_told(run: TaskRun, index: int) -> None:
    """The files that a step reads: its script, its prompt, its inbox, and what went wrong last time."""
    task, step, place = run.task.task, run.task.task.steps[index], run.place
    own = step.instructions or task.instructions
    place.script(index).write_text(own if own.endswith("\n") else own + "\n")
    objective = f"Objective:\n{task.instructions}\n\n" if step.instructions else ""
    place.prompt(index).write_text(
        skills.words(step.skill or task.skill, run.skills) + objective + own + "\n"
    )
    place.inbox.touch()
    place.retry_context.unlink(missing_ok=True)
    job = run.ctx.job
    if job.attempt > 1 and job.error_message and index == run.resumed_at:
        context = {
            "objective": task.instructions,
            "stepId": step.id,
            "stepIndex": index,
            "stepTitle": step.title,
            "failureSummary": job.error_message,
            "constraints": ["The files are as the last finished step left them; nothing else was kept."],
            "changedFiles": [],
            "diffHash": None,
        }
        place.retry_context.write_bytes(msgspec.json.encode(storable_all(run.ctx.redactor, context)))


def _environment(run: TaskRun, index: int, attempt: int) -> dict[str, str]:
    place, ctx = run.place, run.ctx
    own = {
        "JOB_ID": ctx.job.id,
        "STEP_ID": run.task.task.steps[index].id,
        "STEP_INDEX": str(index),
        "STEP_ATTEMPT": str(attempt),
        "RETRY_CONTEXT": str(place.retry_context),
        "PROMPT_FILE": str(place.prompt(index)),
        "INBOX": str(place.inbox),
    }
    return environment.for_step(os.environ, ctx.settings, run.secrets.env, own)


def _wall_seconds(run: TaskRun) -> float:
    return run.task.task.limits.step_wall_seconds or run.ctx.settings.step_timeout_seconds


def _require_success(run: TaskRun, result: CommandResult) -> Reading:
    """What the runtime reported. It failed when it says so, whatever its exit code. Raises JobFailed."""
    if result.timed_out:
        raise failed(f"ran longer than {_wall_seconds(run):g} s", "transient_runtime")
    reading = run.runtime.read(result.output)
    if result.exit_code == 0 and reading.failure is None:
        return reading
    how = f"exit code {result.exit_code}" if result.signal is None else f"ended by signal {result.signal}"
    said = reading.failure or reading.words
    rules = (*run.ctx.settings.failure_rules, *run.runtime.rules)
    meant = classify(reading.report, rules, exit_code=result.exit_code, signal=result.signal)
    raise failed(f"{how}: {said}" if said else how, meant.failure_class)


def _summary(diff: Diff, result: CommandResult, reading: Reading) -> str:
    summary = f"{_files(len(diff.changes))} changed in {result.duration_seconds:.1f} s"
    said = " ".join((reading.message or "").split())
    if len(said) > SHOWN_MESSAGE:
        said = said[: SHOWN_MESSAGE - 3] + "..."
    return f"{summary}: {said}" if said else summary


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"
