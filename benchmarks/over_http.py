"""The queue over HTTP: enqueue by 32 connections, and claim and finish in batches, one queue_api process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from benchmarks import wrk
from benchmarks.ceiling import PIPELINED_XADD, READ_AND_ACK, pipelined_adds, rate, reads_and_acks
from benchmarks.rig import Rig, fill
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured

JOBS: Final = "/api/queue/jobs"
CONNECTIONS: Final = 32
BARE: Final = "bare aiohttp"
ENQUEUE: Final = rate("HTTP enqueue, 32 connections", target=6_000, ceiling=BARE)
ENQUEUE_STORE: Final = rate("the same, beside the store", ceiling=PIPELINED_XADD)
LATENCY: Final = Measure(name="HTTP enqueue, 32 connections, p99", unit="ms", ceiling=f"{BARE}, p99")
BATCH: Final = 50
WORKERS: Final = 8
WORK: Final = rate("HTTP claim and finish, 50 at a time", target=8_000, ceiling=READ_AND_ACK)


async def enqueues(scale: Scale) -> AsyncGenerator[Round, None]:
    seconds, adds = scale.of(3, quick=1), scale.of(50_000, quick=5_000)
    with Rig() as rig, rig.wire() as wire:
        async with rig.service("queue_api") as url, rig.bare_http() as bare_url:
            for _ in scale.rounds:
                bare = await _posts(bare_url, rig, seconds)
                load = await _posts(url, rig, seconds)
                yield {
                    ENQUEUE: Reading(load.per_second, bare.per_second),
                    ENQUEUE_STORE: Reading(load.per_second, pipelined_adds(wire, adds)),
                    LATENCY: Reading(load.p99, bare.p99),
                }


async def work(scale: Scale) -> AsyncGenerator[Round, None]:
    number = scale.of(16_000, quick=1_000)
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.service("queue_api") as url,
            rig.store() as store,
            aiohttp.ClientSession(url) as session,
        ):
            for _ in scale.rounds:
                top = reads_and_acks(wire, number)
                await fill(store, number)
                started = time.perf_counter()
                done = sum(await asyncio.gather(*(_worker(session, f"bench-{at}") for at in range(WORKERS))))
                seconds = time.perf_counter() - started
                if done != number:
                    raise Unmeasured(f"{done} of {number} jobs were claimed")
                yield {WORK: Reading(number / seconds, top)}


class _Held(Struct, rename="camel"):
    id: str
    lease_token: str


class _Claimed(Struct):
    jobs: list[_Held]


class _Finished(Struct):
    class Item(Struct):
        status: int

    items: list[Item]


async def _posts(url: str, rig: Rig, seconds: float) -> wrk.Load:
    body = '{"type":"noop","payload":{}}'
    return await wrk.post(url + JOBS, body, rig.folder, connections=CONNECTIONS, seconds=seconds)


async def _worker(session: aiohttp.ClientSession, name: str) -> int:
    """Claim and finish until nothing is left; how many jobs that were."""
    done = 0
    claim = msgspec.json.encode({"workerId": name, "leaseSeconds": 60, "maxJobs": BATCH})
    while jobs := msgspec.json.decode(await call(session, f"{JOBS}/claim", claim), type=_Claimed).jobs:
        ended = [{"id": job.id, "leaseToken": job.lease_token, "outcome": "complete"} for job in jobs]
        body = msgspec.json.encode({"workerId": name, "jobs": ended})
        finished = msgspec.json.decode(await call(session, f"{JOBS}/finish", body), type=_Finished)
        if any(item.status != 200 for item in finished.items):
            raise Unmeasured("a completion was refused")
        done += len(jobs)
    return done


async def call(session: aiohttp.ClientSession, path: str, body: bytes) -> bytes:
    async with session.post(path, data=body, headers={"Content-Type": "application/json"}) as response:
        content = await response.read()
        if response.status >= 300:
            raise Unmeasured(f"{path} was answered {response.status}: {content.decode()}")
        return content


SUBJECTS: Final = (
    Subject(name="http-enqueue", says="enqueues per second over HTTP, from wrk", rounds=enqueues),
    Subject(
        name="http-work", says="jobs claimed and finished per second over HTTP, 50 at a time", rounds=work
    ),
)
