"""Waiting work that no live worker may take: what starves however long it waits (Q-4, Q-19)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from sluicegate import keys
from sluicegate.model import Lane, Policy
from sluicegate.store.connection import Store

MOST_LANES: Final = 400
"""Lanes that are looked at, the first to be claimed first: what a look costs does not grow with the queue."""
BAND: Final = 2**42
"""Scores of lanes are (1000 - priority) * BAND + ms, as the scripts make them."""


class Stranded(Struct, frozen=True):
    """jobs: those in these lanes. since_ms: since when the first of them waits, by the store's clock."""

    lanes: int = 0
    jobs: int = 0
    since_ms: int | None = None


async def stranded(store: Store, policies: Collection[Policy]) -> Stranded:
    """What waits in the first MOST_LANES lanes and fits none of these policies; changes nothing."""
    flat = await store.command("ZRANGE", keys.READY, 0, MOST_LANES - 1, "WITHSCORES")
    able = set(policies)
    known: dict[tuple[str, str, str], bool] = {}
    found: list[tuple[str, int]] = []
    for name, score in zip(flat[::2], flat[1::2], strict=True):
        # Lanes that differ in priority or affinity key alone fit the same workers.
        _, kind, repository, capabilities, _ = name.split("|")
        like = kind, repository, capabilities
        if like not in known:
            known[like] = _fits_any(able, name)
        if not known[like]:
            found.append((name, int(float(score)) % BAND))
    if not found:
        return Stranded()
    counts: Sequence[str | None] = await store.command("HMGET", keys.LANES, *(name for name, _ in found))
    return Stranded(
        lanes=len(found),
        jobs=sum(int(count or 0) for count in counts),
        since_ms=min(since for _, since in found),
    )


def _fits_any(policies: Collection[Policy], name: str) -> bool:
    lane = _parsed(name)
    return any(policy.fits(lane) for policy in policies)


@lru_cache(4 * MOST_LANES)
def _parsed(name: str) -> Lane:
    """A look meets mostly the lanes of the one before: to take names apart was half of what it took."""
    return Lane.parse(name)
