"""A small service in place of a real one, run as a process: `python -m tests.unit.dev.stand_in`.

It listens on STAND_IN_PORT, shows its settings at /settings, and misbehaves as told: STAND_IN_EXIT ends it
at once with that status; STAND_IN_DEAF ignores SIGTERM and SIGINT; STAND_IN_BUSY needs two of them, as a
worker with a job does; STAND_IN_STOPPED is a file that it writes its name into when it stops in order.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
from pathlib import Path

from aiohttp import web


async def serve() -> None:
    stop = asyncio.Event()
    asked: list[signal.Signals] = []
    needed = math.inf if "STAND_IN_DEAF" in os.environ else 2 if "STAND_IN_BUSY" in os.environ else 1

    def ask(number: signal.Signals) -> None:
        asked.append(number)
        if len(asked) >= needed:
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask, number)

    async def settings(_: web.Request) -> web.Response:
        return web.json_response({"pid": os.getpid(), **os.environ})

    async def ok(_: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.router.add_get("/settings", settings)
    app.router.add_get("/readyz", ok)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["STAND_IN_PORT"])).start()
    await stop.wait()
    await runner.cleanup()
    if path := os.environ.get("STAND_IN_STOPPED"):
        with Path(path).open("a") as stopped:
            stopped.write(os.environ["STAND_IN_NAME"] + "\n")


if __name__ == "__main__":
    if "STAND_IN_EXIT" in os.environ:
        sys.exit(int(os.environ["STAND_IN_EXIT"]))
    asyncio.run(serve())
