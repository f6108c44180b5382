"""The four drills: what each does, how often, and how fast."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from sluicegate.drill import faults
from sluicegate.drill.faults import Scene

LEASE_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = LEASE_SECONDS / 3
"""A worker's default."""


class Drill(Struct, frozen=True, kw_only=True):
    """share: of the jobs of the whole set. kills_per_fault: it makes one fault for so many kills of the set.

    gap_seconds: between faults. fault_seconds: about how long one takes, with its gap. late: workers come to
    make late completions. slow: the way to the store is.
    """

    name: str
    says: str
    make: Callable[[Scene], Awaitable[None]]
    share: float
    kills_per_fault: int
    gap_seconds: float
    fault_seconds: float
    late: bool = False
    slow: bool = False


class Size(Struct, frozen=True, kw_only=True):
    """How much of one drill there is. calm_seconds: load without faults, before and after them."""

    jobs: int
    faults: int
    workers: int
    calm_seconds: float


DRILLS: Final = {
    drill.name: drill
    for drill in (
        Drill(
            name="kill9",
            says="workers, queue_api, control and the sweeper are killed with SIGKILL",
            make=faults.kill9,
            share=0.55,
            kills_per_fault=1,
            gap_seconds=1.2,
            fault_seconds=1.2,
        ),
        Drill(
            name="freeze",
            says="workers stand still for longer than their leases",
            make=faults.freeze,
            share=0.15,
            kills_per_fault=10,
            gap_seconds=1.5,
            fault_seconds=1.5 + 1.8 * LEASE_SECONDS,
            late=True,
        ),
        Drill(
            name="store-restart",
            says="the store is killed with SIGKILL, or stopped, and comes back",
            make=faults.store_restart,
            share=0.15,
            kills_per_fault=10,
            gap_seconds=2.5,
            fault_seconds=2.7 + 0.8 * LEASE_SECONDS,
        ),
        Drill(
            name="slow-store",
            says="the way to the store is slow, stalls for longer than a heartbeat, and breaks",
            make=faults.slow_store,
            share=0.15,
            kills_per_fault=10,
            gap_seconds=2.5,
            fault_seconds=2.5 + LEASE_SECONDS,
            slow=True,
        ),
    )
}


def sizes(drills: Sequence[Drill], *, jobs: int, kills: int, workers: int, calm_seconds: float) -> list[Size]:
    """What each gets when these share the jobs of a set."""
    shares = sum(drill.share for drill in drills)
    return [
        Size(
            jobs=round(jobs * drill.share / shares),
            faults=max(2, kills // drill.kills_per_fault),
            workers=workers,
            calm_seconds=calm_seconds,
        )
        for drill in drills
    ]
