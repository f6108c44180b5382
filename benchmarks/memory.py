"""What waiting jobs cost the store, and what the worker process costs the machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import psutil

from benchmarks.drain import SLOTS
from benchmarks.programs import until
from benchmarks.rig import Rig, fill
from benchmarks.subject import Measure, Reading, Round, Scale, Subject
from benchmarks.wire import Wire
from sluicegate.store import jobs, workers

PER_JOB: Final = Measure(name="store memory per queued no-op job", unit="B", target=800)
AT_START: Final = Measure(name="resident memory of the worker service, idle", unit="MB", target=60)
AFTER_DRAIN: Final = Measure(name="resident memory of the worker after a drain", unit="MB", target=60)


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """A fresh store and fresh processes in each round."""
    number, drained = scale.of(100_000, quick=5_000), scale.of(20_000, quick=2_000)
    for _ in scale.rounds:
        with Rig() as rig, rig.wire() as wire:
            idle = await _idle_service(rig)
            async with rig.store() as store:
                before = _used(wire)
                await fill(store, number)
                per_job = (_used(wire) - before) / number
                async with rig.workers(slots=SLOTS) as (worker,):

                    async def enough() -> bool:
                        return (await jobs.counts(store)).succeeded >= drained

                    await until(enough, "the worker drains", worker, every_seconds=0.05)
                    yield {
                        PER_JOB: Reading(per_job),
                        AT_START: Reading(idle),
                        AFTER_DRAIN: Reading(_resident(worker.pid)),
                    }


async def _idle_service(rig: Rig) -> float:
    """Once it is known to the store, and so has opened all its connections."""
    async with rig.store() as store, rig.program("services.worker", {}) as program:

        async def there() -> bool:
            return bool(await workers.listing(store))

        await until(there, "the worker service is there", program, every_seconds=0.1)
        return _resident(program.pid)


def _used(wire: Wire) -> int:
    return int(wire.info("memory")["used_memory"])


def _resident(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


SUBJECT: Final = Subject(
    name="memory",
    says="of the store per queued job, and of the worker process",
    rounds=rounds,
    limit_seconds=150,
)
