"""What it takes to be watched: one read of queue_api's /metrics, by the number of jobs."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final, NamedTuple

import aiohttp
import msgspec

from benchmarks.rig import Rig
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from benchmarks.wire import Wire, packed
from sluicegate import keys
from sluicegate.model import Lane
from sluicegate.queue_metrics import FIGURES_SECONDS
from sluicegate.store import workers
from sluicegate.store.workers import Presence

JOBS: Final = 1_000_000
LANES: Final = 20_000
WORKERS: Final = 200
KEPT: Final = 50
"""Reads of figures that are kept, in a round."""
CHUNK: Final = 1_000


class Side(NamedTuple):
    """A queue_api on a store of its own."""

    session: aiohttp.ClientSession
    wire: Wire

    async def read(self) -> float:
        """One read of the page, in ms."""
        began = time.perf_counter()
        async with self.session.get("/metrics") as answer:
            page = await answer.text()
        taken = (time.perf_counter() - began) * 1000
        if (
            answer.status != 200
            or f"sluicegate_stranded_lanes {float(0)}" in page
            or "_store_up 1" not in page
        ):
            raise Unmeasured(f"the page is not what was to be read:\n{page[:2000]}")
        return taken

    def server_ms(self) -> float:
        """What the server has spent on commands since it started."""
        counted = self.wire.info("commandstats").values()
        return sum(int(each.split("usec=")[1].split(",")[0]) for each in counted) / 1000


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """In each round one read that looks at the store anew, on each side, and many within the 5 s after it."""
    jobs, lanes = scale.of(JOBS, quick=20_000), scale.of(LANES, quick=1_000)
    beside = f"the same, {lanes:,} jobs"
    fresh = Measure(
        name=f"read of /metrics, {jobs:,} jobs in {lanes:,} lanes", unit="ms", target=20, ceiling=beside
    )
    kept = Measure(name="the same within 5 s of another", unit="ms")
    spent = Measure(name="server time of such a read", unit="ms", ceiling=beside)
    async with _side(jobs, lanes) as full, _side(lanes, lanes) as sparse:
        for _ in scale.rounds:
            await asyncio.sleep(FIGURES_SECONDS + 0.1)
            before = full.server_ms(), sparse.server_ms()
            times = await full.read(), await sparse.read()
            after = full.server_ms(), sparse.server_ms()
            yield {
                fresh: Reading(*times),
                kept: Reading(statistics.median([await full.read() for _ in range(KEPT)])),
                spent: Reading(after[0] - before[0], after[1] - before[1]),
            }


@contextlib.asynccontextmanager
async def _side(jobs: int, lanes: int) -> AsyncIterator[Side]:
    with Rig() as rig, rig.wire() as wire:
        async with rig.store() as store, rig.service("queue_api") as url:
            for at in range(WORKERS):
                await workers.announce(store, _presence(at))
            for commands in _indexes(jobs, lanes):
                wire.pipeline(commands)
            async with aiohttp.ClientSession(url) as session:
                # Presence lasts for a minute; all rounds together take less.
                yield Side(session, wire)


def _indexes(jobs: int, lanes: int) -> Iterator[list[bytes]]:
    """What waiting jobs leave in the indexes that are counted; nobody reads their hashes and streams here."""
    queued, ready = keys.status("queued"), keys.READY
    for first in range(0, jobs, CHUNK):
        members = [
            str(each) for at in range(first, min(first + CHUNK, jobs)) for each in (at, f"job-{at:08}")
        ]
        yield [packed("ZADD", queued, *members)]
    for first in range(0, lanes, CHUNK):
        named = [(at, _lane(at)) for at in range(first, min(first + CHUNK, lanes))]
        yield [
            packed("HSET", keys.LANES, *(word for at, name in named for word in (name, str(jobs // lanes)))),
            packed("ZADD", ready, *(word for at, name in named for word in (str(1000 * 2**42 + at), name))),
        ]


def _lane(at: int) -> str:
    """Every second one needs what no worker has."""
    needed = ("git", "shell") if at % 2 else ("git", "gpu")
    return Lane(type="task", repository=f"github.com/acme/site-{at}", capabilities=needed).text + "+w"


def _presence(at: int) -> Presence:
    known = {
        "workerId": f"worker-{at}", "host": "host", "pid": at, "version": "1", "transport": "redis",
        "capabilities": ["git", "shell"], "types": ["task"], "slots": 8, "state": "busy",
        "jobs": [f"{at:08}-{slot:027}" for slot in range(8)],
    }  # fmt: skip
    return msgspec.convert(known, Presence)


SUBJECT: Final = Subject(
    name="scrape",
    says="reads of /metrics with a million jobs in the store",
    rounds=rounds,
    limit_seconds=120,
    long=True,
)
