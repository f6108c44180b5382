"""Fixtures for tasks: a repository, settings of a worker, and a job on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import uuid_utils

from sluicegate.model import Job
from sluicegate.operations.task_payload import check
from sluicegate.settings import WorkerSettings
from tests.support.origin import Origin
from tests.support.recorded_context import Kept
from tests.support.tasks import NewTask


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "remote")


@pytest.fixture
def healing(worker_settings: WorkerSettings) -> WorkerSettings:
    """The budgets of a deployment that sets none, and limits of time that a slow machine keeps."""
    defaults = WorkerSettings()
    return msgspec.structs.replace(
        worker_settings,
        step_max_attempts=defaults.step_max_attempts,
        step_no_progress_limit=defaults.step_no_progress_limit,
        job_max_hard_resets=defaults.job_max_hard_resets,
        step_idle_timeout_seconds=20.0,
        step_timeout_seconds=60.0,
    )


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder that all attempts of a task share."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def worker_settings(tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(
        data_dir=tmp_path / "data",
        allow_local_repositories=True,
        stop_sigint_grace_seconds=0.2,
        stop_sigterm_grace_seconds=0.2,
        secret_env=("PLANTED_SECRET",),
        step_max_attempts=1,  # healing has tests of its own
    )


@pytest.fixture
def new_task(origin: Origin, worker_settings: WorkerSettings) -> NewTask:
    """A claimed task with these scripts as its steps; `task` and `payload` add to it."""

    def make(*scripts: str, task: dict[str, Any] | None = None, attempt: int = 1, **payload: Any) -> Kept:
        steps = [{"instructions": script} for script in scripts]
        document: dict[str, Any] = {
            "repository": str(origin.path),
            "targetRuntime": "shell",
            "task": {"instructions": "Improve the files\n\nAll of them.", "steps": steps} | (task or {}),
        } | payload
        check(document, worker_settings)
        return Kept(
            Job(
                id=str(uuid_utils.uuid7()),
                type="task",
                status="running",
                payload=document,
                attempt=attempt,
                created_at="2026-03-04T05:06:07.890Z",
                updated_at="2026-03-04T05:06:07.890Z",
            )
        )

    return make
