"""repair_pauses: records of narrower pauses and what claims look at agree again; in doubt, paused (P-11)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store import audit, narrow_pauses, repair
from sluicegate.store.connection import Store
from sluicegate.store.findings import of_word
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder
from tests.transitions.test_bring_back import lifted_in_part, many_set_aside
from tests.transitions.test_pause_some import ids, lifted, paused


async def faults(store: Store) -> list[str]:
    return list((await store.run("examine_pause"))[0])


async def test_what_agrees_is_left_alone(store: Store, builder: JobBuilder) -> None:
    await paused(store, "type", "another")
    await paused(store, "worker", "w|1")
    await many_set_aside(store, builder)
    await lifted_in_part(store)
    before = await contents(store)
    assert await faults(store) == []
    assert await narrow_pauses.repair(store) == []
    assert await contents(store) == before


async def test_claims_learn_of_a_pause_that_is_recorded(store: Store, builder: JobBuilder) -> None:
    """P-11: they went on as if it were not there."""
    was = await paused(store, "type", "held")
    await paused(store, "repository", "host/o/r")
    await builder.waiting(type="held")
    await store.command("HDEL", keys.META, "pauses")
    assert await faults(store) == ["narrow_differs repository=host/o/r", "narrow_differs type=held"]
    before = await contents(store)
    assert await narrow_pauses.repair(store) == ["repository=host/o/r", "type=held"]
    assert changed(before, await contents(store)) == {"meta"}
    assert was in (await narrow_pauses.read(store)).items
    assert await ids(builder) == []
    await lifted(store, "type", "held")
    assert len(await ids(builder)) == 1


@pytest.mark.parametrize("name", ["type=held", "repository=host/o/%C3%A4", "worker=w%7C1"])
@pytest.mark.parametrize("damage", ["lost", "unreadable", "lifted"])
async def test_a_record_that_is_lost_is_written_anew(
    store: Store, builder: JobBuilder, name: str, damage: str
) -> None:
    """P-11: claims go on refusing, and an operator can see and lift what they refuse by."""
    scope, _, written = name.partition("=")
    value = {"host/o/%C3%A4": "host/o/ä", "w%7C1": "w|1"}.get(written, written)
    was = await paused(store, scope, value)  # type: ignore[arg-type]
    records = {"unreadable": "what?", "lifted": f"lifted 1 1 1 0\n{value}\n\n"}
    command = ("HDEL", keys.PAUSES, name) if damage == "lost" else (
        "HSET", keys.PAUSES, name, records[damage]
    )  # fmt: skip
    await store.command(*command)
    assert len(await faults(store)) == 1
    assert await narrow_pauses.repair(store) == [name]
    assert await faults(store) == []
    (found,) = (await narrow_pauses.read(store)).items
    assert (found.scope, found.value, found.mode, found.requested_by_user_id) == (
        scope, value, "drain", "system",
    )  # fmt: skip
    assert "was lost" in str(found.reason) and found.version > was.version
    entry = (await audit.page(store))[0][0]
    assert (entry.actor_user_id, entry.target) == ("system", f"{scope}:{value}")
    await lifted(store, scope, value)  # type: ignore[arg-type]


@pytest.mark.damages_the_store
@pytest.mark.parametrize("text", ["type=held", "|type=held", "x"])
async def test_what_claims_look_at_is_garbled(store: Store, builder: JobBuilder, text: str) -> None:
    await paused(store, "type", "held")
    await store.command("HSET", keys.META, "pauses", text)
    assert await faults(store)
    await narrow_pauses.repair(store)
    await builder.waiting(type="held")
    assert await faults(store) == []
    assert await ids(builder) == []


async def test_what_is_no_pause_is_dropped(store: Store, builder: JobBuilder) -> None:
    await store.command("HSET", keys.PAUSES, "colour=red", "?")
    await store.command("HSET", keys.META, "pauses", "|gibberish|")
    assert await narrow_pauses.repair(store) == ["colour=red", "gibberish"]
    assert not await store.command("EXISTS", keys.PAUSES)
    assert await store.command("HGET", keys.META, "pauses") is None


async def test_a_resume_that_nobody_finishes_is_a_fault(store: Store, builder: JobBuilder) -> None:
    """P-12: found by doctor ten seconds later, when the sweeper would have finished it, and repaired."""
    made = await many_set_aside(store, builder)
    await lifted_in_part(store)
    assert await faults(store) == []
    await store.command("HSET", keys.PAUSES, "type=held", "lifted 2 1 1 0\nheld\n\n")
    (word,) = await faults(store)
    assert word == "lift_left type=held"
    assert await narrow_pauses.repair(store) == []
    await repair.apply(store, [of_word(word, keys.PAUSE)])
    assert await faults(store) == []
    assert {each for _ in range(3) for each in await ids(builder)} == set(made)
