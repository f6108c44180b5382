"""`python -m services.queue_api`: settings, store, app, until SIGTERM."""

from __future__ import annotations

import sys

from services.queue_api.app import build
from sluicegate import service
from sluicegate.http import run
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store, limits


async def serve(settings: QueueApiSettings) -> None:
    store = await Store.open(settings)
    try:
        await limits.declare(store, by="queue_api")
        await run(build(settings, store), settings.host, settings.queue_api_port)
    finally:
        await store.close()


def main() -> int:
    return service.run("queue_api", QueueApiSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
