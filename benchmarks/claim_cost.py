"""What a claim costs the server, by its own account, as the queue grows from one job to a million."""

from __future__ import annotations

import statistics
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

import uuid_utils

from benchmarks.rig import Rig, accepted, fill
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from benchmarks.wire import Wire
from sluicegate.model import Policy
from sluicegate.store import Store, claims, endings
from sluicegate.store.endings import Complete

DEPTHS: Final = (1, 1_000, 100_000, 1_000_000)
QUICK_DEPTHS: Final = (1, 1_000, 5_000)
BASE: Final = 1_000
LIMITS: Final = (1, 100)
POLICY: Final = Policy(types=("noop",))
WORKER: Final = "bench-claims"
LEASE_MS: Final = 60_000
MOST_TIMES_BASE: Final = 1.5

Costs = dict[tuple[int, int], list[Reading]]


class Side(NamedTuple):
    """A store and the bare connection that asks the same server for its account."""

    store: Store
    wire: Wire


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """All rounds at one depth, then the next: the queue is filled once.

    Each claim has its twin on a second server with 1,000 jobs, at the same moment: else a ratio of two times
    that lie minutes apart would tell more of the machine than of the queue.
    """
    depths = QUICK_DEPTHS if scale.quick else DEPTHS
    number = scale.of(40, quick=5)
    costs: Costs = {}
    with Rig() as rig, Rig() as shallow_rig, rig.wire() as wire, shallow_rig.wire() as shallow_wire:
        async with rig.store() as store, shallow_rig.store() as shallow_store:
            growing, shallow = Side(store, wire), Side(shallow_store, shallow_wire)
            await fill(shallow.store, BASE)
            filled = 0
            for depth in depths:
                await fill(growing.store, depth - filled)
                filled = depth
                for limit in LIMITS:
                    if limit <= depth:
                        costs[depth, limit] = [
                            await _costs(growing, shallow, limit, number) for _ in scale.rounds
                        ]
    for at in scale.rounds:
        yield _round(costs, at, depths[-1])


def _round(costs: Costs, at: int, deepest: int) -> Round:
    """The costs of one round in µs of the server's time, and what the deepest queue costs to one of 1,000."""
    beside = f"the same, {BASE:,} queued"
    found: Round = {
        Measure(name=f"claim of {limit}, {depth:,} queued", unit="µs", ceiling=beside): measured[at]
        for (depth, limit), measured in costs.items()
    }
    for limit in LIMITS:
        name = f"claim of {limit}, {deepest:,} queued to {BASE:,}"
        cost, base = costs[deepest, limit][at]
        assert base is not None
        found[Measure(name=name, unit="×", target=MOST_TIMES_BASE)] = Reading(cost / base)
    return found


async def _costs(growing: Side, shallow: Side, limit: int, number: int) -> Reading:
    """The median cost of `number` claims, and that of their twins."""
    costs, bases = [], []
    for _ in range(number):
        costs.append(await _cost(growing, limit))
        bases.append(await _cost(shallow, limit))
    return Reading(statistics.median(costs), statistics.median(bases))


async def _cost(side: Side, limit: int) -> int:
    """Of one claim, in µs. What it takes is completed and replaced, so that the depth stays."""
    before = _spent(side.wire)
    request_id = str(uuid_utils.uuid4())
    opened = await claims.open_attempts(
        side.store, POLICY, worker_id=WORKER, lease_ms=LEASE_MS, limit=limit, request_id=request_id
    )
    microseconds = _spent(side.wire) - before
    if len(opened.attempts) != limit:
        raise Unmeasured(f"a claim of {limit} got {len(opened.attempts)} jobs")
    await _complete(side.store, opened)
    await fill(side.store, limit)
    return microseconds


def _spent(wire: Wire) -> int:
    """µs in scripts since the server started. Nothing else runs scripts here."""
    return wire.commandstat("evalsha")[1]


async def _complete(store: Store, opened: claims.Opened) -> None:
    ended = [Complete(attempt.job_id, attempt.token) for attempt in opened.attempts]
    refused = await endings.settle(store, WORKER, ended)
    accepted([each for each in refused if each is not None])


SUBJECT: Final = Subject(
    name="claim-cost", says="server time of a claim as the queue grows to 1,000,000 jobs", rounds=rounds,
    limit_seconds=240,
)  # fmt: skip
