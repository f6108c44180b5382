"""What was estimated as a drain began, and how long it took: of jobs that last a known time (P-13)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sluicegate.operations import pause
from sluicegate.operations.drain import Estimate
from sluicegate.operations.pause import PauseCall
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs
from sluicegate.times import from_rfc3339
from sluicegate.worker import Worker
from sluicegate.worker.context import JobContext
from tests.services.worker.conftest import Way
from tests.services.worker.test_worker import working
from tests.support.job_builder import JobBuilder, past
from tests.support.wait import until

PAST = [0.3 + 0.05 * n for n in range(10)]
"""How long the runs took that are known."""
RUNNING = (0.6, 0.7, 0.75)
BEFORE_MS = 450
"""For so long they have run when the drain begins."""
FACTOR = 2.0
"""How far the estimate may be from what came, either way."""
ROUNDS = 5
"""Of types of their own: a round in which this machine stood still says nothing; an estimate that is wrong,
is wrong in each."""


def made(settings: Settings) -> Worker:
    """A worker whose jobs last as long as they say."""
    worker = Way(settings, None).worker(worker_id="worker-1", worker_concurrency=len(PAST))

    async def work(ctx: JobContext) -> None:
        await asyncio.sleep(ctx.job.payload["seconds"])

    for number in range(ROUNDS):
        worker.handler(f"work.{number}")(work)
    return worker


async def begun(store: Store, kind: str, lengths: Sequence[float]) -> int:
    """As many jobs as there are lengths, all at work; when the last one began, by the store's clock."""
    make = JobBuilder(store)
    made = [make.submission(kind, payload={"seconds": each}) for each in lengths]
    ids = await make.enqueued(*made)

    async def look() -> list[int] | None:
        found = [each.started_at for each in await jobs.read(store, ids) if each]
        return [from_rfc3339(at) for at in found if at] if all(found) else None

    return max(await until(look, "all have begun"))


async def drained(store: Store) -> float:
    """When nothing runs any more."""

    async def look() -> bool:
        return (await jobs.counts(store)).is_drained

    await until(look, "it is drained", timeout=60)
    return time.monotonic()


async def one_drain(store: Store, kind: str) -> tuple[Estimate, float]:
    """What was said as the drain began, and how many seconds it took."""
    await begun(store, kind, PAST)
    await drained(store)
    await past(store, await begun(store, kind, RUNNING) + BEFORE_MS)
    paused = await pause.change(store, PauseCall(action="pause", mode="drain", reason="upgrade"), actor="ann")
    began = time.monotonic()
    took = await drained(store) - began
    assert (await pause.status(store)).drain.estimate is None
    await pause.change(store, PauseCall(action="resume"), actor="ann")
    assert paused.drain.estimate is not None
    return paused.drain.estimate, took


async def test_a_drain_takes_as_long_as_was_estimated(store: Store, settings: Settings) -> None:
    """P-13: within a factor of two, its median and the bound that nine in ten keep."""
    said: list[tuple[Estimate, float]] = []
    async with working(made(settings)):
        for number in range(ROUNDS):
            estimate, took = await one_drain(store, f"work.{number}")
            said.append((estimate, took))
            if took / FACTOR <= estimate.p50_seconds <= estimate.p90_seconds <= took * FACTOR:
                return
    raise AssertionError(f"no estimate was near what came: {said}")
