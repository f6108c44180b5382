"""What it costs to be watched: a drain with metrics and logs as shipped, and one without, in turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import aiohttp

from benchmarks.drain import Drained, drained
from benchmarks.programs import Program
from benchmarks.rig import Rig
from benchmarks.subject import Measure, Reading, Round, Scale, Subject

SHARE: Final = Measure(name="drain throughput that metrics and logs cost", unit="%", target=5)
WATCHED: Final = Measure(
    name="drain, metrics read each second, logs at info",
    unit="jobs/s",
    more_is_better=True,
    ceiling="drain without metrics and logs",
)
SPENT: Final = Measure(
    name="processor time of its worker for a job", unit="µs", ceiling="of one without metrics and logs"
)
READ_SECONDS: Final = 1.0


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """Both in each round, now this one first, now that: a machine grows slower and faster by itself."""
    number = scale.of(20_000, quick=2_000)
    with Rig() as rig:
        for at in scale.rounds:
            order = (True, False) if at % 2 else (False, True)
            drains = {watched: await _drain(rig, number, watched=watched) for watched in order}
            yield {
                SHARE: Reading(100 * (1 - drains[True].rate / drains[False].rate)),
                WATCHED: Reading(drains[True].rate, drains[False].rate),
                SPENT: Reading(drains[True].spent, drains[False].spent),
            }


async def _drain(rig: Rig, number: int, *, watched: bool) -> Drained:
    level = {"LOG_LEVEL": "info" if watched else "error"}
    extra = {} if watched else {"BENCH_UNWATCHED": "1"}
    beside = _read if watched else contextlib.nullcontext
    return await drained(rig, number, settings=level, environment=extra, beside=beside)


@contextlib.asynccontextmanager
async def _read(worker: Program) -> AsyncIterator[None]:
    """The worker's page is read as a Prometheus would, only more often."""
    (line,) = worker.lines("metrics.listening")

    async def read() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"http://127.0.0.1:{line['port']}/metrics") as answer:
                    await answer.read()
                await asyncio.sleep(READ_SECONDS)

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


SUBJECT: Final = Subject(
    name="observed",
    says="what metrics and logs cost a drain: with them and without",
    rounds=rounds,
    limit_seconds=240,
    long=True,
)
