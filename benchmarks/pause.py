"""What still begins after a pause: the last claim and the last handler of a worker under full load.

From the 200 both are negative where nothing begins after it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

import aiohttp

from benchmarks.ceiling import ECHO, echoes
from benchmarks.drain import SLOTS
from benchmarks.pickup import read_stamps
from benchmarks.programs import Program, until
from benchmarks.rig import Rig, fill
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from sluicegate.store import Store, jobs
from sluicegate.store.jobs import JobFilter
from sluicegate.times import from_rfc3339

CALL: Final = Measure(name="pause call over HTTP", unit="ms", ceiling=f"{ECHO}, p50")
LAST_CLAIM: Final = Measure(name="pause, from its 200 to the last claim", unit="ms", target=0)
LAST_CLAIM_SENT: Final = Measure(name="pause, from its send to the last claim", unit="ms")
LAST_START: Final = Measure(name="pause, from its 200 to the last handler's start", unit="ms")
LATEST: Final = 500
"""More jobs than can be under way at once: the last one begun is among the last ones ended."""


class Answer(NamedTuple):
    """A pause call: how long it took in ms, and when its 200 was there, in ns of either clock."""

    taken: float
    monotonic_ns: int
    today_ns: int


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    number = scale.of(10_000, quick=3_000)
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.service("control") as url,
            rig.client() as client,
            rig.store() as store,
            rig.workers(slots=SLOTS) as (worker,),
            aiohttp.ClientSession(url) as session,
        ):
            for _ in scale.rounds:
                echo, _ = echoes(wire)
                if not (await client.pause_state()).system.workers_paused:
                    await client.pause("drain", "filling the queue")
                counts = await jobs.counts(store)
                await fill(store, number - counts.queued, "stamp")
                await client.resume(force=True)
                await _under_way(store, counts.succeeded + number // 10, worker)
                answer = await _pause(session)
                claimed_ms, began_ns = await _last_begun(store, worker)
                after = claimed_ms - answer.today_ns / 1e6
                yield {
                    CALL: Reading(answer.taken, echo),
                    LAST_CLAIM: Reading(after),
                    LAST_CLAIM_SENT: Reading(after + answer.taken),
                    LAST_START: Reading((began_ns - answer.monotonic_ns) / 1e6),
                }


async def _under_way(store: Store, succeeded: int, worker: Program) -> None:
    async def enough() -> bool:
        return (await jobs.counts(store)).succeeded >= succeeded

    await until(enough, "the worker is under way", worker, every_seconds=0.005)
    if not (await jobs.counts(store)).queued:
        raise Unmeasured("the queue was empty before it could be paused")


async def _pause(session: aiohttp.ClientSession) -> Answer:
    sent = time.monotonic_ns()
    call = {"action": "pause", "mode": "drain", "reason": "measured"}
    async with session.post("/api/system/worker-pause", json=call) as response:
        replied, today = time.monotonic_ns(), time.time_ns()
        if response.status != 200:
            raise Unmeasured(f"the pause was refused: {await response.text()}")
    return Answer((replied - sent) / 1e6, replied, today)


async def _last_begun(store: Store, worker: Program) -> tuple[int, int]:
    """The last claim, in ms of the day (the store's clock), and the last handler's start, in monotonic ns."""

    async def drained() -> bool:
        return (await jobs.counts(store)).is_drained

    await until(drained, "the running jobs end", worker)
    if not (await jobs.counts(store)).queued:
        raise Unmeasured("the queue ran empty: the last claim was not the pause's doing")
    ended, _ = await jobs.listing(store, JobFilter(status="succeeded"), limit=LATEST)
    stamps = await read_stamps(store, [job.id for job in ended])
    claims = [from_rfc3339(job.started_at) for job in ended if job.started_at]
    return max(claims), max(began for began, _ in stamps)


SUBJECT: Final = Subject(name="pause", says="what still begins after a pause over HTTP", rounds=rounds)
