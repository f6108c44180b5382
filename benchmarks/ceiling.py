"""The raw ceilings: what the same server does for the barest stream commands that could do the work at all.

No queue can be faster than these on the machine; a figure's share of its ceiling travels better from machine
to machine than the figure.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Final

import uuid_utils

from benchmarks.rig import Rig
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, percentile
from benchmarks.wire import Wire, packed
from sluicegate.model import NewJob
from sluicegate.operations.jobs import prepare
from sluicegate.settings import Settings

STREAM: Final = "bench:ceiling"
PIPELINE: Final = 1000
CLAIM: Final = 100

PIPELINED_XADD: Final = "pipelined XADD"
AWAITED_XADD: Final = "awaited XADD"
READ_AND_ACK: Final = "XREADGROUP + XACK"
ECHO: Final = "ECHO round trip"


def pipelined_adds(wire: Wire, jobs: int) -> float:
    """Per second: entries with what an enqueue sends of a job, its id and spec, 1,000 in a pipeline."""
    spec = _spec()
    started = time.perf_counter()
    for _ in range(jobs // PIPELINE):
        wire.pipeline([_add(spec) for _ in range(PIPELINE)])
    return _rate_and_clear(wire, jobs // PIPELINE * PIPELINE, started)


def awaited_adds(wire: Wire, jobs: int) -> float:
    """Per second: the same entries, each sent when the one before is answered."""
    spec = _spec()
    started = time.perf_counter()
    for _ in range(jobs):
        wire.pipeline([_add(spec)])
    return _rate_and_clear(wire, jobs, started)


def reads_and_acks(wire: Wire, jobs: int) -> float:
    """Per second: entries read through a group and acknowledged, 100 at a time, one call after another."""
    spec = _spec()
    for _ in range(jobs // PIPELINE):
        wire.pipeline([_add(spec) for _ in range(PIPELINE)])
    wire.call("XGROUP", "CREATE", STREAM, "workers", "0")
    done = 0
    started = time.perf_counter()
    while reply := wire.call(
        "XREADGROUP", "GROUP", "workers", "worker", "COUNT", CLAIM, "STREAMS", STREAM, ">"
    ):
        entries = [entry[0] for entry in reply[0][1]]
        wire.call("XACK", STREAM, "workers", *entries)
        done += len(entries)
    return _rate_and_clear(wire, done, started)


def echoes(wire: Wire, times: int = 2000) -> tuple[float, float]:
    """p50 and p99 in ms: a call of 36 bytes and its answer, with nothing done in between."""
    word = str(uuid_utils.uuid7())
    taken = []
    for _ in range(times):
        sent = time.perf_counter_ns()
        wire.call("ECHO", word)
        taken.append((time.perf_counter_ns() - sent) / 1e6)
    return percentile(taken, 0.5), percentile(taken, 0.99)


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    jobs = scale.of(50_000, quick=5_000)
    with Rig() as rig, rig.wire() as wire:
        for _ in scale.rounds:
            p50, p99 = echoes(wire)
            yield {
                rate(PIPELINED_XADD): Reading(pipelined_adds(wire, jobs)),
                rate(AWAITED_XADD): Reading(awaited_adds(wire, jobs // 5)),
                rate(READ_AND_ACK): Reading(reads_and_acks(wire, jobs)),
                Measure(name=f"{ECHO}, p50", unit="ms"): Reading(p50),
                Measure(name=f"{ECHO}, p99", unit="ms"): Reading(p99),
            }


def rate(name: str, *, target: float | None = None, ceiling: str | None = None) -> Measure:
    return Measure(name=name, unit="/s", more_is_better=True, target=target, ceiling=ceiling)


def latencies(
    what: str,
    taken: list[float],
    echo: tuple[float, float] | None,
    *,
    p50: float | None = None,
    p99: float | None = None,
) -> Round:
    """p50 and p99 of times in ms, with their targets; beside the same of a round trip, if one is given."""
    found: Round = {}
    for at, (name, share, target) in enumerate((("p50", 0.5, p50), ("p99", 0.99, p99))):
        ceiling = None if echo is None else f"{ECHO}, {name}"
        measure = Measure(name=f"{what}, {name}", unit="ms", target=target, ceiling=ceiling)
        found[measure] = Reading(percentile(taken, share), None if echo is None else echo[at])
    return found


def _spec() -> bytes:
    return prepare(NewJob(type="noop"), actor="bench", settings=Settings()).spec


def _add(spec: bytes) -> bytes:
    return packed("XADD", STREAM, "*", "job", str(uuid_utils.uuid7()), "spec", spec)


def _rate_and_clear(wire: Wire, done: int, started: float) -> float:
    seconds = time.perf_counter() - started
    wire.call("DEL", STREAM)
    return done / seconds


SUBJECT: Final = Subject(
    name="ceiling", says="what the server does for bare stream commands: the tops of the rest", rounds=rounds
)
