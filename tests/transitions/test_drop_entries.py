"""drop_entries: what no job refers to goes, and nothing else (60-3)."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder

LANE = "0|work|||+w"


async def dropped(store: Store, *entries: tuple[str, str]) -> list[str]:
    (words,) = await store.run("drop_entries", list(entries))
    return list(words)


async def test_entries_that_jobs_refer_to_are_kept(store: Store, builder: JobBuilder) -> None:
    made = [await builder.running(), await builder.waiting()]
    dead = await builder.dead_letter(type="dead")
    entries = [(LANE, (await store.command("HGET", keys.job(each.job_id), "entry"))[2:]) for each in made]
    entries += [("dead", await store.command("HGET", keys.job(dead.job_id), "dead")), (LANE, "1-1")]
    before = await contents(store)
    assert await dropped(store, *entries) == ["KEPT"] * 4
    assert await contents(store) == before


async def test_a_second_entry_of_a_job_goes(store: Store, builder: JobBuilder) -> None:
    """It would run twice; count and readiness follow."""
    made = await builder.waiting()
    before = await contents(store)
    extra = await store.command("XADD", keys.lane(LANE, ""), "*", "job", made.job_id)
    await store.command("HINCRBY", keys.LANES, LANE, 1)
    assert await dropped(store, (LANE, extra)) == ["DROPPED"]
    assert changed(before, await contents(store)) == set()
    assert await dropped(store, (LANE, extra)) == ["KEPT"]


async def test_a_letter_of_nobody_goes(store: Store, builder: JobBuilder) -> None:
    entry = await store.command("XADD", keys.DEAD, "*", "job", "nobody")
    assert await dropped(store, ("dead", entry)) == ["DROPPED"]
    assert await store.command("XLEN", keys.DEAD) == 0


async def test_the_last_entry_takes_its_lane_along(store: Store, builder: JobBuilder) -> None:
    stream = keys.lane("gibberish", "")
    entry = await store.command("XADD", stream, "*", "job", "nobody")
    assert await dropped(store, ("gibberish", entry)) == ["DROPPED"]
    assert not await store.command("EXISTS", stream)
