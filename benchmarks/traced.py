"""What it costs to be traced: a drain whose every job is a span, and one without, in turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from benchmarks.drain import Drained, drained
from benchmarks.rig import Rig
from benchmarks.subject import Measure, Reading, Round, Scale, Subject

SHARE: Final = Measure(name="drain throughput that tracing each no-op job costs", unit="%")
TRACED: Final = Measure(
    name="drain, each job a span that is sent", unit="jobs/s", more_is_better=True, ceiling="not traced"
)
SPENT: Final = Measure(name="processor time of its worker for a job", unit="µs", ceiling="of one not traced")


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """Both in each round, now this one first, now that: a machine grows slower and faster by itself."""
    number = scale.of(20_000, quick=2_000)
    async with _collector() as address:
        with Rig() as rig:
            for at in scale.rounds:
                order = (True, False) if at % 2 else (False, True)
                drains = {traced: await _drain(rig, number, address if traced else None) for traced in order}
                yield {
                    SHARE: Reading(100 * (1 - drains[True].rate / drains[False].rate)),
                    TRACED: Reading(drains[True].rate, drains[False].rate),
                    SPENT: Reading(drains[True].spent, drains[False].spent),
                }


async def _drain(rig: Rig, number: int, address: str | None) -> Drained:
    if address is None:
        return await drained(rig, number)
    sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "NO_PROXY": "127.0.0.1"}
    return await drained(rig, number, settings={"TRACING": "1"}, environment=sent)


@asynccontextmanager
async def _collector() -> AsyncIterator[str]:
    """Takes spans and keeps none."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


SUBJECT: Final = Subject(
    name="traced",
    says="what tracing costs a drain: each job a span, and without",
    rounds=rounds,
    limit_seconds=240,
    long=True,
)
