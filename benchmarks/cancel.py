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
from benchmarks.programs import Program, until
from benchmarks.rig import Rig
from benchmarks.subject import Round, Scale, Subject, Unmeasured
from sluicegate.client import Client
from sluicegate.store import Store, jobs

APART_SECONDS: Final = 0.05
"""Between two cancels: the job before is reported, its files are removed."""


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    number = scale.of(40, quick=4)
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.service("queue_api") as url,
            rig.workers(slots=number) as (worker,),
            rig.store() as store,
            Client.from_url(url) as client,
            aiohttp.ClientSession(url) as session,
        ):
            for _ in scale.rounds:
                echo = echoes(wire)
                traps = await _set(client, rig.folder, number, worker)
                answered, asked = [], []
                for job_id, path in traps.items():
                    sent, replied = await _cancel(session, job_id)
                    at = await _signalled(path, worker)
                    answered.append((at - replied) / 1e6)
                    asked.append((at - sent) / 1e6)
                    await asyncio.sleep(APART_SECONDS)
                await _ended(store, worker)
                yield {
                    **latencies("cancel, from its 200 to the signal", answered, None, p50=3.0, p99=20.0),
                    **latencies("cancel, from its send to the signal", asked, echo),
                }


async def _set(client: Client, folder: Path, number: int, worker: Program) -> dict[str, Path]:
    """Job ids and the paths at which their commands, which are waiting for SIGINT, leave their notes."""
    traps: dict[str, Path] = {}
    for at in range(number):
        path = folder / f"trap-{time.monotonic_ns()}-{at}"
        job = await client.enqueue(type="trap", payload={"path": str(path)})
        traps[job.id] = path
    await until(
        lambda: all(path.with_suffix(".waits").exists() for path in traps.values()),
        "the commands wait for their signal",
        worker,
    )
    return traps


async def _cancel(session: aiohttp.ClientSession, job_id: str) -> tuple[int, int]:
    """When the call was sent and when its 200 was there, in monotonic ns."""
    sent = time.monotonic_ns()
    async with session.post(f"/api/queue/jobs/{job_id}/cancel", json={"reason": "measured"}) as response:
        replied = time.monotonic_ns()
        if response.status != 200:
            raise Unmeasured(f"the cancel was refused: {await response.text()}")
    return sent, replied


async def _signalled(path: Path, worker: Program) -> int:
    note = path.with_suffix(".signalled")
    await until(note.exists, "the signal comes", worker)
    return int(note.read_text())


async def _ended(store: Store, worker: Program) -> None:
    async def none_runs() -> bool:
        counts = await jobs.counts(store)
        return not counts.running

    await until(none_runs, "the cancelled jobs end", worker, every_seconds=0.05)


SUBJECT: Final = Subject(
    name="cancel", says="from a cancel over HTTP to SIGINT at the job's process", rounds=rounds
)
