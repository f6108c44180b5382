"""What happened to jobs in the last hour and day, by type: from counters that the transitions keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from sluicegate.store import rendering
from sluicegate.store.connection import Store

What = Literal["came", "left", "succeeded", "failed", "dead"]
"""came, left: into and out of the lanes. failed: attempts, also those that are tried again."""
EVERY_TYPE: Final = "*"
"""Stands for the types that are not counted apart."""
MOST_LANES: Final = 2_000
HOUR: Final = (60, 60)
DAY: Final = (900, 96)
"""Seconds of a bucket, and how many are shown, the one that is being filled among them."""

Bucket = dict[str, dict[str, int]]
"""What -> type -> how many."""


class Ring(Struct, frozen=True):
    """first: number of the oldest bucket, in stretches of `seconds` since 1970."""

    seconds: int
    first: int
    buckets: list[Bucket]

    def values(self, what: What, kind: str) -> list[int]:
        return [bucket.get(what, {}).get(kind, 0) for bucket in self.buckets]

    def total(self, what: What, kind: str | None = None) -> int:
        """kind: None for all types."""
        return sum(
            sum(counts.values()) if kind is None else counts.get(kind, 0)
            for counts in (bucket.get(what, {}) for bucket in self.buckets)
        )

    @property
    def types(self) -> set[str]:
        return {kind for bucket in self.buckets for counts in bucket.values() for kind in counts}

    def waiting(self, now: int, kind: str | None = None) -> list[int]:
        """How many waited at the end of each bucket, reckoned back from `now`, how many do at present."""
        found: list[int] = []
        for bucket in reversed(self.buckets):
            found.append(max(now, 0))
            came, left = bucket.get("came", {}), bucket.get("left", {})
            if kind is None:
                now += sum(left.values()) - sum(came.values())
            else:
                now += left.get(kind, 0) - came.get(kind, 0)
        return found[::-1]


class Flow(Struct, frozen=True, kw_only=True):
    """waiting: jobs in lanes now by type; of `EVERY_TYPE` alone when there are too many lanes to look at."""

    now_ms: int
    hour: Ring
    day: Ring
    waiting: dict[str, int]


async def read(store: Store) -> Flow:
    """One call, whose cost does not depend on how many jobs there are. Raises StoreError."""
    now, buckets, waiting = await store.run("flow", most_lanes=MOST_LANES)
    return Flow(
        now_ms=int(now),
        hour=_ring(int(now), *HOUR, buckets),
        day=_ring(int(now), *DAY, buckets),
        waiting={kind: int(number) for kind, number in rendering.fields(waiting).items()},
    )


def _ring(now_ms: int, seconds: int, shown: int, found: Sequence[Any]) -> Ring:
    first = now_ms // (seconds * 1000) - shown + 1
    buckets: list[Bucket] = [{} for _ in range(shown)]
    for bucket_seconds, number, counts in found:
        if int(bucket_seconds) == seconds and int(number) >= first:
            buckets[int(number) - first] = _bucket(rendering.fields(counts))
    return Ring(seconds, first, buckets)


def _bucket(counts: dict[str, str]) -> Bucket:
    bucket: Bucket = {}
    for name, number in counts.items():
        what, _, kind = name.partition(":")
        bucket.setdefault(what, {})[kind] = int(number)
    return bucket
