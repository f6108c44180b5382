"""What still begins after a pause: under one worker's full load, and over many rounds of pause and resume.

From the 200 both times are negative where nothing begins after it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

import aiohttp

from benchmarks.ceiling import ECHO, echoes, latencies
from benchmarks.drain import SLOTS
from benchmarks.pickup import read_stamps
from benchmarks.programs import Program, until
from benchmarks.rig import Rig, fill
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from sluicegate import keys
from sluicegate.store import Store, jobs
from sluicegate.store.jobs import JobFilter
from sluicegate.store.rendering import fields
from sluicegate.times import from_rfc3339

CALL: Final = Measure(name="pause call over HTTP", unit="ms", ceiling=f"{ECHO}, p50")
LAST_CLAIM: Final = Measure(name="pause, from its 200 to the last claim", unit="ms", target=0)
LAST_CLAIM_SENT: Final = Measure(name="pause, from its send to the last claim", unit="ms")
LAST_START: Final = Measure(name="pause, from its 200 to the last handler's start", unit="ms")
LATEST: Final = 500
"""More jobs than can be under way at once: the last one begun is among the last ones ended."""
LOOPS: Final = 8
TIMES: Final = 40
ONE_RUN: Final = 12_000
"""Jobs that are more than the loops work off between the pauses of one run."""


class Answer(NamedTuple):
    """A call: how long it took in ms, and when its 200 was there, in ns of either clock."""

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
                answer = await change(session, "pause")
                claimed_ms, began_ns = await _last_begun(store, worker)
                after = claimed_ms - answer.today_ns / 1e6
                yield {
                    CALL: Reading(answer.taken, echo),
                    LAST_CLAIM: Reading(after),
                    LAST_CLAIM_SENT: Reading(after + answer.taken),
                    LAST_START: Reading((began_ns - answer.monotonic_ns) / 1e6),
                }


async def again_and_again(scale: Scale) -> AsyncGenerator[Round, None]:
    times = scale.of(TIMES, quick=5)
    number = times * ONE_RUN // TIMES
    after = Measure(name=f"claims after the 200 of a pause, {times} pauses", unit="", target=0)
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.service("control") as url,
            rig.service("queue_api") as api_url,
            rig.client() as client,
            rig.store() as store,
            rig.workers(slots=1, each=LOOPS // 2) as (near,),
            rig.workers(slots=1, each=LOOPS // 2, url=api_url) as (far,),
            aiohttp.ClientSession(url) as session,
        ):
            await client.pause("drain", "filling the queue")
            for _ in scale.rounds:
                echo = echoes(wire)
                await fill(store, number - (await jobs.counts(store)).queued)
                began, taken = 0, []
                for _ in range(times):
                    seen = await _latest_notice(store)
                    done = (await jobs.counts(store)).succeeded
                    await change(session, "resume")
                    await _under_way(store, done + LOOPS, near, far)
                    taken.append((await change(session, "pause")).taken)
                    await _drained(store, near, far)
                    began += await _claims_after_the_pause(store, seen)
                yield {after: Reading(began), **latencies("pause call, eight loops claiming", taken, echo)}


async def change(session: aiohttp.ClientSession, action: str, mode: str = "drain") -> Answer:
    """Pause, or resume whatever runs."""
    call = {"action": action} | (
        {"mode": mode, "reason": "measured"} if action == "pause" else {"forceResume": True}
    )
    sent = time.monotonic_ns()
    async with session.post("/api/system/worker-pause", json=call) as response:
        replied, today = time.monotonic_ns(), time.time_ns()
        if response.status != 200:
            raise Unmeasured(f"the {action} was refused: {await response.text()}")
    return Answer((replied - sent) / 1e6, replied, today)


async def _under_way(store: Store, succeeded: int, *workers: Program) -> None:
    async def enough() -> bool:
        return (await jobs.counts(store)).succeeded >= succeeded

    await until(enough, "the workers are under way", *workers, every_seconds=0.005)
    if not (await jobs.counts(store)).queued:
        raise Unmeasured("the queue was empty before it could be paused")


async def _drained(store: Store, *workers: Program) -> None:
    async def drained() -> bool:
        return (await jobs.counts(store)).is_drained

    await until(drained, "the running jobs end", *workers)
    if not (await jobs.counts(store)).queued:
        raise Unmeasured("the queue ran empty: the last claim was not the pause's doing")


async def _last_begun(store: Store, worker: Program) -> tuple[int, int]:
    """The last claim, in ms of the day (the store's clock), and the last handler's start, in monotonic ns."""
    await _drained(store, worker)
    ended, _ = await jobs.listing(store, JobFilter(status="succeeded"), limit=LATEST)
    stamps = await read_stamps(store, [job.id for job in ended])
    claims = [from_rfc3339(job.started_at) for job in ended if job.started_at]
    return max(claims), max(began for began, _ in stamps)


async def _latest_notice(store: Store) -> str:
    ((entry, _),) = await store.command("XREVRANGE", keys.EVENTS, "+", "-", "COUNT", 1)
    return str(entry)


async def _claims_after_the_pause(store: Store, seen: str) -> int:
    """Scripts leave their notices in one stream in the order in which they ran: no clock decides this.

    seen: the notice before the resume. Behind it come the resume's, those of claims, and the pause's.
    """
    notices = await store.command("XRANGE", keys.EVENTS, f"({seen}", "+")
    kinds = [fields(flat)["kind"] for _, flat in notices]
    if kinds.count("pause") != 2 or "running" not in kinds:
        raise Unmeasured("the notices of a round are not a resume, claims and a pause")
    last = len(kinds) - kinds[::-1].index("pause")
    return kinds[last:].count("running")


SUBJECTS: Final = (
    Subject(name="pause", says="what still begins after a pause over HTTP", rounds=rounds),
    Subject(
        name="pause-rounds",
        says="the same, over rounds against eight claiming loops",
        rounds=again_and_again,
        long=True,
        limit_seconds=300.0,
    ),
)
