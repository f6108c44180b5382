"""examine_lanes: what is derived of a lane, against its stream (DESIGN 7)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder

LANE = "0|work|||+w"


async def examined(store: Store, *lanes: str) -> list[list[str]]:
    (found,) = await store.run("examine_lanes", [(lane,) for lane in lanes])
    return list(found)


async def test_a_sound_lane_has_no_fault(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    await builder.waiting()
    before = await contents(store)
    assert await examined(store, LANE, "0|nothing|||+w") == [[], []]
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_each_fault_is_a_word(store: Store, builder: JobBuilder) -> None:
    await builder.claim()
    await builder.waiting()
    policy = builder.everything.id
    await store.commands(("HSET", keys.LANES, LANE, 7), ("ZREM", keys.ready(policy), LANE))
    assert await examined(store, LANE, "gibberish") == [
        ["wrong_count 1 wait, and 7 are counted", f"wrong_for_policy {policy}"], ["no_lane"],
    ]  # fmt: skip
