"""`python -m services.worker`: the worker that runs tasks (and jobs that do nothing), until SIGTERM."""

from __future__ import annotations

import os
import sys

from services.worker.noop import run_noop
from services.worker.runtimes import RUNTIMES, readiness
from services.worker.task.environment import inherited
from services.worker.task.handler import run_task
from sluicegate import log as logs
from sluicegate import service
from sluicegate.log import log
from sluicegate.redact import MIN_VALUE
from sluicegate.settings import WorkerSettings
from sluicegate.worker import Worker
from sluicegate.worker.texts import redactor_of


async def serve(settings: WorkerSettings) -> None:
    logs.configure("worker", settings.log_level, clean=redactor_of(settings).text)
    look_at_secrets(settings)
    look_at_runtimes(settings)
    worker = Worker.from_settings(settings)
    worker.handler("task")(run_task)
    worker.handler("noop")(run_noop)
    with service.metrics_page(settings, worker.metrics_registry):
        await worker.run()


def look_at_runtimes(settings: WorkerSettings) -> None:
    """Tell, before the first task fails by it, what an offered runtime lacks: a task may still bring its key.

    Raises ConfigurationError for arguments that are none, offered or not.
    """
    for runtime in RUNTIMES.values():
        settings.runtime_arguments(runtime.name)
        if runtime.name in settings.worker_capabilities and (
            missing := readiness.lacking(runtime, inherited(os.environ), settings.runtimes_signed_in)
        ):
            log.warning("worker.runtime_not_ready", runtime=runtime.name, lacking=missing)


def look_at_secrets(settings: WorkerSettings) -> None:
    """Tell of a variable whose value cannot be hidden: it may be misspelt."""
    for name in settings.secret_env:
        if len(os.environ.get(name, "").strip()) < MIN_VALUE:
            log.warning("worker.secret_not_hidden", variable=name, set=name in os.environ, shortest=MIN_VALUE)


def main() -> int:
    return service.run("worker", WorkerSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
