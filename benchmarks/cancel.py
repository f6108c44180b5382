"""How soon a cancelled job's process has its signal: a command under a worker, cancelled over HTTP.

From the 200 the time may be negative: the push to the worker does not wait for the answer to the caller.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.ceiling import echoes, latencies
from benchmarks.pause import Answer
from benchmarks.programs import Program, until
from benchmarks.rig import Rig
from benchmarks.subject import Round, Scale, Subject, Unmeasured
from sluicegate.client import Client
from sluicegate.store import Store, jobs

APART_SECONDS: Final = 0.05
"""Between two cancels: the job before is reported, its files are removed."""


async def beside_the_store(scale: Scale) -> AsyncGenerator[Round, None]:
    async for each in _signals(scale, over_http=False):
        yield each


async def over_http(scale: Scale) -> AsyncGenerator[Round, None]:
    async for each in _signals(scale, over_http=True):
        yield each


async def _signals(scale: Scale, *, over_http: bool) -> AsyncGenerator[Round, None]:
    number = scale.of(40, quick=4)
    what = "cancel of a remote job" if over_http else "cancel"
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.service("queue_api") as url,
            rig.workers(slots=number, url=url if over_http else None) as (worker,),
            rig.store() as store,
            Client.from_url(url) as client,
            aiohttp.ClientSession(url) as session,
        ):
            for _ in scale.rounds:
                echo = echoes(wire)
                traps = await set_traps(client, rig.folder, number, worker)
                answered, asked = [], []
                for job_id, path in traps.items():
                    answer = await cancel(session, job_id)
                    at = await signalled(path, worker)
                    answered.append((at - answer.monotonic_ns) / 1e6)
                    asked.append(answered[-1] + answer.taken)
                    await asyncio.sleep(APART_SECONDS)
                await ended(store, worker)
                yield {
                    **latencies(f"{what}, from its 200 to the signal", answered, None, p50=3.0, p99=20.0),
                    **latencies(f"{what}, from its send to the signal", asked, echo),
                }


async def set_traps(
    client: Client, folder: Path, number: int, *programs: Program, kind: str = "trap"
) -> dict[str, Path]:
    """Job ids and the paths at which their commands, which are waiting for SIGINT, leave their notes."""
    traps: dict[str, Path] = {}
    for at in range(number):
        path = folder / f"trap-{time.monotonic_ns()}-{at}"
        job = await client.enqueue(type=kind, payload={"path": str(path)})
        traps[job.id] = path
    await until(
        lambda: all(path.with_suffix(".waits").exists() for path in traps.values()),
        "the commands wait for their signal",
        *programs,
    )
    return traps


async def cancel(session: aiohttp.ClientSession, job_id: str) -> Answer:
    sent = time.monotonic_ns()
    async with session.post(f"/api/queue/jobs/{job_id}/cancel", json={"reason": "measured"}) as response:
        replied, today = time.monotonic_ns(), time.time_ns()
        if response.status != 200:
            raise Unmeasured(f"the cancel was refused: {await response.text()}")
    return Answer((replied - sent) / 1e6, replied, today)


async def signalled(path: Path, *programs: Program) -> int:
    """When the command had its signal, in monotonic ns."""
    note = path.with_suffix(".signalled")
    await until(note.exists, "the signal comes", *programs)
    return int(note.read_text())


async def ended(store: Store, *programs: Program) -> None:
    async def none_runs() -> bool:
        counts = await jobs.counts(store)
        return not counts.running

    await until(none_runs, "the cancelled jobs end", *programs, every_seconds=0.05)


SUBJECTS: Final = (
    Subject(
        name="cancel", says="from a cancel over HTTP to SIGINT at the job's process", rounds=beside_the_store
    ),
    Subject(
        name="cancel-http", says="the same, with the worker over HTTP too", rounds=over_http,
        long=True, limit_seconds=300.0,
    ),
)  # fmt: skip
