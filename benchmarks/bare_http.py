"""`python -m benchmarks.bare_http`: aiohttp with nothing behind it, answering POSTs as enqueues are answered.

What a service on aiohttp could reach at most on this machine. BENCH_PORT is where it listens.
"""

from __future__ import annotations

import os

import msgspec
import uuid_utils
import uvloop
from aiohttp import web

from sluicegate.model import NewJob
from sluicegate.operations.jobs import prepare
from sluicegate.service import until_signalled
from sluicegate.settings import Settings
from sluicegate.store import rendering
from sluicegate.times import now_ms


async def serve() -> None:
    spec = prepare(NewJob(type="noop"), actor="bench", settings=Settings()).spec
    answer = msgspec.json.encode(rendering.new_job(str(uuid_utils.uuid7()), spec, now_ms(), None, None))

    async def created(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=answer, status=201, headers={"Content-Type": "application/json"})

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/{any:.*}", created), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", int(os.environ["BENCH_PORT"])).start()
        async with until_signalled() as stop:
            await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve())
