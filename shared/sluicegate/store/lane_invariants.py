"""Says where lanes, their counts and the orders that workers read disagree, and which entries are nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from sluicegate import keys
from sluicegate.store.connection import Store
from sluicegate.store.findings import Finding, Findings, of_word
from sluicegate.store.pages import hash_pages, key_pages, zset_pages

TURNS: Final = 500
"""Most looks of one call: a lane is looked up for each policy."""
PAGE: Final = 100

DANGLING: Final = {
    "NO_RECORD": "entry_of_nobody",
    "ENDED": "entry_of_ended",
    "ELSEWHERE": "entry_elsewhere",
    "GHOST": "ghost_entry",
}


async def listed(store: Store) -> set[str]:
    """Every lane that is listed, or that some worker would look for."""
    found: set[str] = set()
    async for page in hash_pages(store, keys.LANES):
        found |= page.keys()
    policies = await store.command("HKEYS", keys.POLICIES)
    for order in (keys.READY, *map(keys.ready, policies)):
        async for members in zset_pages(store, order):
            found |= members.keys()
    return found


async def known(store: Store) -> set[str]:
    """Those too that are there and listed nowhere, and what stands in orders of limited types: a scan."""
    found = await listed(store)
    async for streams in key_pages(store, keys.lane("*", ""), "stream"):
        found |= {name.removeprefix(keys.lane("", "")) for name in streams}
    async for orders in key_pages(store, keys.ready("*"), "zset"):
        for order in orders:
            async for members in zset_pages(store, order):
                found |= members.keys()
    return found


async def survey(store: Store, lanes: Sequence[str]) -> Findings:
    """What is derived of these lanes."""
    known = int(await store.command("HLEN", keys.POLICIES))
    most = max(1, TURNS // (known + 4))
    for start in range(0, len(lanes), most):
        part = lanes[start : start + most]
        (found,) = await store.run("examine_lanes", [(name,) for name in part])
        for name, words in zip(part, found, strict=True):
            for word in words:
                yield of_word(word, name)


async def entries(store: Store, lane: str) -> Findings:
    """The entries of a lane that stand for nothing."""
    async for entry, _, why in _bad_entries(store, lane):
        yield Finding(DANGLING[why], lane, entry, (lane, entry))


async def letters(store: Store) -> Findings:
    """The dead letters of jobs that are not dead."""
    async for entry, job_id, _ in _bad_entries(store, "dead"):
        yield Finding("letter_of_nobody", job_id, entry, ("dead", entry))


async def _bad_entries(store: Store, name: str) -> AsyncIterator[tuple[str, str, str]]:
    after = "0-0"
    while after:
        after, bad = await store.run("examine_entries", name=name, after=after, limit=PAGE)
        for entry, job_id, why in bad:
            yield entry, job_id, why
