"""How fast one worker process works off a full queue: claims, leases, events and endings of no-op jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, NamedTuple

import psutil

from benchmarks.ceiling import READ_AND_ACK, rate, reads_and_acks
from benchmarks.programs import Program
from benchmarks.rig import Rig, fill, finished
from benchmarks.subject import Reading, Round, Scale, Subject, Unmeasured
from sluicegate.store import Store, jobs
from sluicegate.store.jobs import JobFilter
from sluicegate.times import from_rfc3339

SLOTS: Final = 200
NONE: Final[Mapping[str, str]] = {}
DRAIN: Final = rate("drain by one worker, 200 slots", target=20_000, ceiling=READ_AND_ACK)


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    number = scale.of(20_000, quick=2_000)
    with Rig() as rig, rig.wire() as wire:
        async with rig.client() as client, rig.store() as store, rig.workers(slots=SLOTS) as (worker,):
            for done in scale.rounds:
                top = reads_and_acks(wire, number)
                # The worker is up and its queue full when the resume lets it begin.
                await client.pause("drain", "filling the queue")
                ids = await fill(store, number)
                await client.resume(force=True)
                await finished(store, number * (done + 1), worker)
                yield {DRAIN: Reading(number / await seconds_taken(store, ids[0]), top)}


async def seconds_taken(store: Store, first: str) -> float:
    """From the claim of the job that was first in the queue to the end of the last, by the store's clock."""
    began = (await jobs.get(store, first)).started_at
    ended = (await jobs.listing(store, JobFilter(status="succeeded"), limit=1))[0][0].finished_at
    if began is None or ended is None:
        raise Unmeasured("a finished job lacks its times")
    return (from_rfc3339(ended) - from_rfc3339(began)) / 1000


class Drained(NamedTuple):
    """jobs/s, and the worker's processor time in µs for each job."""

    rate: float
    spent: float


async def drained(
    rig: Rig,
    number: int,
    *,
    settings: Mapping[str, str] = NONE,
    environment: Mapping[str, str] = NONE,
    beside: Callable[[Program], AbstractAsyncContextManager[object]] = nullcontext,
) -> Drained:
    """Of one worker that begins on a full queue. beside: what goes on meanwhile."""
    async with (
        rig.client() as client,
        rig.store() as store,
        rig.workers(slots=SLOTS, settings=dict(settings), environment=dict(environment)) as (worker,),
        beside(worker),
    ):
        before = (await jobs.counts(store)).succeeded
        await client.pause("drain", "filling the queue")
        ids = await fill(store, number)
        spent = _processor_seconds(worker)
        await client.resume(force=True)
        await finished(store, before + number, worker)
        spent = _processor_seconds(worker) - spent
        return Drained(number / await seconds_taken(store, ids[0]), spent / number * 1e6)


def _processor_seconds(worker: Program) -> float:
    times = psutil.Process(worker.pid).cpu_times()
    return float(times.user + times.system)


SUBJECT: Final = Subject(
    name="drain", says="no-op jobs per second, from the first claim to the last completion", rounds=rounds
)
