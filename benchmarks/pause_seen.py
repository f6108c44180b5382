"""How soon every worker has seen a pause or a resume: idle ones, beside the store and over HTTP, by push.

A worker notes each version in its log when it sees it, by the machine's clock of the day, to the millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import aiohttp

from benchmarks.ceiling import latencies
from benchmarks.pause import change
from benchmarks.programs import Program, until
from benchmarks.rig import Rig
from benchmarks.subject import Round, Scale, Subject
from sluicegate.store import Store, pause
from sluicegate.times import from_rfc3339

WORKERS: Final = 52
PROCESSES: Final = 2
"""Of each transport; each worker in them has a claim loop, connections and a heartbeat thread of its own."""
CHANGES: Final = 20
APART_SECONDS: Final = 0.05


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    each = scale.of(WORKERS, quick=8) // PROCESSES // 2
    changes = scale.of(CHANGES, quick=4)
    number = each * PROCESSES * 2
    with Rig() as rig:
        async with (
            rig.service("control") as url,
            rig.service("queue_api") as api_url,
            rig.store() as store,
            rig.workers(slots=1, each=each, processes=PROCESSES) as near,
            rig.workers(slots=1, each=each, processes=PROCESSES, url=api_url) as far,
            aiohttp.ClientSession(url) as session,
        ):
            for _ in scale.rounds:
                answered: list[float] = []
                asked: list[float] = []
                for at in range(changes):
                    answer = await change(session, "resume" if at % 2 else "pause")
                    seen = await _seen(store, number, [*near, *far])
                    since = [each - answer.today_ns / 1e6 for each in seen]
                    answered += since
                    asked += [each + answer.taken for each in since]
                    await asyncio.sleep(APART_SECONDS)
                yield {
                    **latencies(
                        f"pause, from its 200 until {number} workers saw it", answered, None, p99=100
                    ),
                    **latencies(f"pause, from its send until {number} workers saw it", asked, None),
                }


async def _seen(store: Store, number: int, programs: list[Program]) -> list[int]:
    """When each worker saw the state as it is now, in ms of the day."""
    version = (await pause.read(store)).version
    seen: dict[str, int] = {}

    def look() -> bool:
        for program in programs:
            for line in reversed(program.lines("worker.pause.seen")):
                if line["version"] < version:
                    break
                seen[line["worker"]] = from_rfc3339(line["ts"])
        return len(seen) == number

    await until(look, "every worker has seen it", *programs, every_seconds=0.02)
    return list(seen.values())


SUBJECT: Final = Subject(
    name="pause-seen",
    says="from a pause over HTTP until every idle worker has seen it",
    rounds=rounds,
    long=True,
    limit_seconds=300.0,
)
