"""`python -m services.worker`: the worker that runs tasks (and jobs that do nothing), until SIGTERM."""

from __future__ import annotations

import sys

from services.worker.noop import run_noop
from services.worker.task.handler import run_task
from sluicegate import service
from sluicegate.settings import WorkerSettings
from sluicegate.worker import Worker


async def serve(settings: WorkerSettings) -> None:
    worker = Worker.from_settings(settings)
    worker.handler("task")(run_task)
    worker.handler("noop")(run_noop)
    with service.metrics_page(settings.metrics_port, worker.metrics_registry):
        await worker.run()


def main() -> int:
    return service.run("worker", WorkerSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
