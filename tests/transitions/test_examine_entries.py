"""examine_entries: entries of lanes, and dead letters, to which no job refers (DESIGN 7)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder

LANE = "0|work|||+w"


async def pages(store: Store, name: str, limit: int = 100) -> list[list[list[str]]]:
    """The bad entries of each page."""
    found = []
    after = "0-0"
    while after:
        after, bad = await store.run("examine_entries", name=name, after=after, limit=limit)
        found.append(bad)
    return found


async def test_entries_of_jobs_that_refer_to_them(store: Store, builder: JobBuilder) -> None:
    await builder.running()
    await builder.waiting()
    await builder.dead_letter(type="dead")
    before = await contents(store)
    assert await pages(store, LANE) == [[]]
    assert await pages(store, "dead") == [[]]
    assert await pages(store, "0|nothing|||+w") == [[]]
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_entries_that_stand_for_nothing(store: Store, builder: JobBuilder) -> None:
    """In pages of two, none is missed at the seams."""
    held = await builder.running()
    made = [await builder.waiting() for _ in range(3)]
    ended = await builder.succeeded(type="other")
    twice, old, none = [
        await store.command("XADD", keys.lane(LANE, ""), "*", "job", job_id)
        for job_id in (made[0].job_id, ended.job_id, "nobody")
    ]
    ghost = (await store.command("HGET", keys.job(held.job_id), "entry"))[2:]
    await store.command("XDEL", keys.lane(LANE, ""), ghost)
    found = [each for page in await pages(store, LANE, limit=2) for each in page]
    assert sorted(found) == sorted(
        [
            [ghost, "", "GHOST"],
            [twice, made[0].job_id, "ELSEWHERE"],
            [old, ended.job_id, "ENDED"],
            [none, "nobody", "NO_RECORD"],
        ]
    )
