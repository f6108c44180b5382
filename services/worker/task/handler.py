"""The handler of jobs of type `task`: prepare, execute, publish (unless none)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from services.worker.runtimes import RUNTIMES, readiness
from services.worker.task import recovery
from services.worker.task.execute import execute
from services.worker.task.failures import failed
from services.worker.task.git import Git
from services.worker.task.place import Place
from services.worker.task.prepare import prepare
from services.worker.task.publish import publish
from services.worker.task.run import TaskRun, step_count
from services.worker.task.secret_references import resolve
from services.worker.terminal.live_session import live_session
from services.worker.terminal.recording import recorded
from sluicegate.errors import Invalid
from sluicegate.operations.task_payload import read
from sluicegate.repositories import parse

if TYPE_CHECKING:
    from sluicegate.worker.context import JobContext


async def run_task(ctx: JobContext) -> str:
    """Run a task to its end; returns what came of it in a sentence.

    Every failure is a JobFailed with its class; JobCancelled, JobReleased and LeaseLost pass through. May be
    run again for the same job, here or elsewhere: finished steps are not repeated, nor is a push.
    """
    run = _begin(ctx)
    async with recorded(run):
        await run.stage("prepare", prepare)
        async with live_session(run), run.inbox.kept():
            await run.stage("execute", execute)
            await recovery.turn_down(run, "all steps are finished, and the task is being published")
            if run.task.task.publish.mode != "none":
                await run.stage("publish", publish)
                await recovery.turn_down(run, "the task is published")
    return f"{step_count(len(run.task.task.steps))} finished; {run.outcome}"


def _begin(ctx: JobContext) -> TaskRun:
    """What can be said without touching the repository. Secrets are known to the redactor from here on."""
    try:
        task = read(ctx.job.payload)
        repository = parse(task.repository, ctx.settings)
    except Invalid as error:
        raise failed(f"the payload is not a task: {error.detail}", "deterministic_contract") from error
    secrets = resolve(task.auth, os.environ)
    ctx.redactor.add(*secrets.values, *readiness.secrets(os.environ))
    git = Git(ctx, Place(ctx.workspace), repository)
    return TaskRun(ctx, task, git, runtime=RUNTIMES[task.runtime], secrets=secrets)
