"""Enqueueing through the client inside the trust boundary: one job after another, and 1,000 a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Final

from benchmarks.ceiling import AWAITED_XADD, PIPELINED_XADD, awaited_adds, pipelined_adds, rate
from benchmarks.rig import Rig, accepted
from benchmarks.subject import Reading, Round, Scale, Subject
from sluicegate.model import NewJob

BATCH: Final = 1000
SINGLE: Final = rate("enqueue, one by one", target=7_000, ceiling=AWAITED_XADD)
SINGLE_STOCK: Final = rate("enqueue, one by one, asyncio's own loop", ceiling=AWAITED_XADD)
BATCHES: Final = rate("enqueue, 1,000 a call", target=60_000, ceiling=PIPELINED_XADD)


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    singles, batched = scale.of(2_000, quick=500), scale.of(20_000, quick=4_000)
    with Rig() as rig, rig.wire() as wire:
        for _ in scale.rounds:
            wire.call("FLUSHALL")
            awaited = awaited_adds(wire, singles)
            single = await one_by_one(rig, singles)
            # A thread of its own, in which asyncio.run takes the loop that comes with Python.
            stock = await asyncio.to_thread(asyncio.run, one_by_one(rig, singles))
            pipelined = pipelined_adds(wire, batched)
            yield {
                SINGLE: Reading(single, awaited),
                SINGLE_STOCK: Reading(stock, awaited),
                BATCHES: Reading(await in_batches(rig, batched), pipelined),
            }


async def one_by_one(rig: Rig, number: int) -> float:
    async with rig.client() as client:
        started = time.perf_counter()
        for _ in range(number):
            await client.enqueue(type="noop")
        return number / (time.perf_counter() - started)


async def in_batches(rig: Rig, number: int) -> float:
    new = NewJob(type="noop")
    async with rig.client() as client:
        started = time.perf_counter()
        for _ in range(number // BATCH):
            accepted(await client.enqueue_many([new] * BATCH))
        return number // BATCH * BATCH / (time.perf_counter() - started)


SUBJECT: Final = Subject(name="enqueue", says="jobs accepted per second, one producer", rounds=rounds)
