"""`python -m services.control`: settings, store, app, until SIGTERM."""

from __future__ import annotations

import sys

from services.control.app import build
from sluicegate import service
from sluicegate.http import run
from sluicegate.settings import ControlSettings
from sluicegate.store import Store, limits


async def serve(settings: ControlSettings) -> None:
    store = await Store.open(settings)
    try:
        await limits.declare(store, by="control")
        await run(build(settings, store), settings.host, settings.control_port)
    finally:
        await store.close()


def main() -> int:
    return service.run("control", ControlSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
