"""Tasks of shell steps: what a producer enqueues, and an attempt on a recorded queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from services.worker.task.handler import run_task
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobFailed
from tests.support.origin import Origin
from tests.support.recorded_context import Kept, attempt

NewTask = Callable[..., Kept]
"""The fixture `new_task`: scripts of the steps, and what else the payload says."""


def payload(origin: Origin, *scripts: str, **task: Any) -> dict[str, Any]:
    """A task's payload: these scripts are its steps, and its branch is `result`. task: more of its fields."""
    return {
        "repository": str(origin.path),
        "targetRuntime": "shell",
        "task": {
            "instructions": "Improve it",
            "git": {"newBranch": "result"},
            "steps": [{"instructions": script} for script in scripts],
            **task,
        },
    }


async def run(kept: Kept, settings: WorkerSettings) -> str:
    async with attempt(kept, settings) as recorded:
        return await run_task(recorded.context)


async def failure(kept: Kept, settings: WorkerSettings) -> JobFailed:
    """How the next attempt of the job fails. The job comes back as the queue would give it back."""
    with pytest.raises(JobFailed) as caught:
        await run(kept, settings)
    error = caught.value
    if error.retryable:
        kept.job = msgspec.structs.replace(
            kept.job,
            attempt=kept.job.attempt + 1,
            error_message=error.message,
            failure_class=error.failure_class,
        )
    return error
