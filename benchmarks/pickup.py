"""How soon an idle worker begins: a job just enqueued, a job among 200 idle workers, a delayed job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Final

from benchmarks.ceiling import echoes, latencies
from benchmarks.programs import Program
from benchmarks.rig import Rig, accepted, finished
from benchmarks.subject import Round, Scale, Subject, Unmeasured
from sluicegate.client import Client
from sluicegate.store import Store, jobs
from sluicegate.times import from_rfc3339, now_ms, to_rfc3339

APART_SECONDS: Final = 0.02
SLOTS: Final = 10
WORKERS: Final = 200
PROCESSES: Final = 4
AHEAD_MS: Final = 500
SPREAD_MS: Final = 1000


async def by_one(scale: Scale) -> AsyncGenerator[Round, None]:
    async for taken, echo in _pickups(scale, slots=SLOTS, each=1, processes=1):
        yield latencies("pickup, idle worker", taken, echo, p50=1.0, p99=2.0)


async def among_many(scale: Scale) -> AsyncGenerator[Round, None]:
    each = scale.of(WORKERS, quick=20) // PROCESSES
    async for taken, echo in _pickups(scale, slots=1, each=each, processes=PROCESSES):
        # No target for the median: 200 processes' worth of workers share the machine's few cores.
        yield latencies(f"pickup, {each * PROCESSES} idle workers", taken, echo, p99=3.0)


async def of_delayed(scale: Scale) -> AsyncGenerator[Round, None]:
    """Lateness: from when a job is due to its handler's start, by the machine's clock of the day."""
    number = scale.of(200, quick=20)
    with Rig() as rig, rig.wire() as wire:
        async with rig.client() as client, rig.store() as store, rig.workers(slots=SLOTS) as started:
            for done in scale.rounds:
                echo = echoes(wire)
                first = now_ms() + AHEAD_MS
                wanted = [
                    {"type": "stamp", "notBefore": to_rfc3339(first + at * SPREAD_MS // number)}
                    for at in range(number)
                ]
                queued = accepted(await client.enqueue_many(wanted))
                await finished(store, number * (done + 1), *started)
                stamps = await read_stamps(store, [job.id for job in queued])
                late = [
                    today / 1e6 - from_rfc3339(each["notBefore"])
                    for each, (_, today) in zip(wanted, stamps, strict=True)
                ]
                yield latencies("delayed jobs, late by", late, echo, p50=2.0, p99=10.0)


async def _pickups(
    scale: Scale, *, slots: int, each: int, processes: int
) -> AsyncGenerator[tuple[list[float], tuple[float, float]], None]:
    number = scale.of(200, quick=20)
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.client() as client,
            rig.store() as store,
            rig.workers(slots=slots, each=each, processes=processes) as started,
        ):
            for done in scale.rounds:
                echo = echoes(wire)
                taken = await _pickup(client, store, number, number * (done + 1), started)
                yield taken, echo


async def _pickup(
    client: Client, store: Store, number: int, in_all: int, started: list[Program]
) -> list[float]:
    """For each job the ms from the enqueue's send to the handler's start."""
    sent: list[tuple[str, int]] = []
    for _ in range(number):
        at = time.monotonic_ns()
        job = await client.enqueue(type="stamp")
        sent.append((job.id, at))
        await asyncio.sleep(APART_SECONDS)
    await finished(store, in_all, *started)
    stamps = await read_stamps(store, [job_id for job_id, _ in sent])
    return [(began - at) / 1e6 for (_, at), (began, _) in zip(sent, stamps, strict=True)]


async def read_stamps(store: Store, ids: list[str]) -> list[tuple[int, int]]:
    """What the `stamp` handler noted of each job: monotonic ns, ns of the day's clock."""
    stamps = []
    for job in await jobs.read(store, ids):
        if job is None or job.result_summary is None:
            raise Unmeasured("a job lacks its result")
        began, today = job.result_summary.split()
        stamps.append((int(began), int(today)))
    return stamps


SUBJECTS: Final = (
    Subject(name="pickup", says="from the enqueue's send to the handler's start, one worker", rounds=by_one),
    Subject(name="pickup-200", says="the same, with 200 idle workers", rounds=among_many),
    Subject(name="delayed", says="from when a delayed job is due to its handler's start", rounds=of_delayed),
)
