"""bring_back: what a lifted pause held back is seen again, slice by slice, whoever begins it (P-12)."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.limits import Limits
from sluicegate.model import Pauses
from sluicegate.store import cancellation, invariants, limits, narrow_pauses
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder
from tests.transitions.test_pause_some import GPU, bells, done, ids, lifted, paused

MANY = 230
"""Lanes: more than two slices of 100."""


async def many_set_aside(store: Store, builder: JobBuilder) -> list[str]:
    """Jobs of a paused type, each in a lane of its own, all met by claims."""
    made = await builder.enqueued(
        *(builder.submission(type="held", repository=f"host/o/r{at:03}") for at in range(MANY))
    )
    await paused(store, "type", "held")
    assert await ids(builder) == []
    assert await store.command("ZCARD", keys.PARKED) == MANY
    return made


async def lifted_in_part(store: Store) -> None:
    """The caller dies after the first slice."""
    reply = await store.run(
        "pause_some", name="type=held", value="held", action="resume", mode="", reason="", actor="bob",
        until_ms=0, expected_version=-1,
    )  # fmt: skip
    assert reply[0] == "MORE"
    assert await store.command("ZCARD", keys.PARKED) == MANY - 100


async def test_with_nothing_lifted_nothing_is_written(store: Store, builder: JobBuilder) -> None:
    await builder.waiting(type="held")
    await paused(store, "type", "held")
    assert await ids(builder) == []
    before = await contents(store)
    assert await store.run("bring_back") == ["DONE"]
    assert await contents(store) == before


async def test_a_resume_gives_back_all_of_them(store: Store, builder: JobBuilder) -> None:
    """P-12: in one call of the store's function, in order."""
    made = await many_set_aside(store, builder)
    await lifted(store, "type", "held")
    assert await store.command("EXISTS", keys.PARKED, keys.PAUSES, keys.parked(GPU.id)) == 0
    assert await ids(builder) + await ids(builder) + await ids(builder) == made


async def test_a_resume_that_was_cut_short_goes_on(
    store: Store, builder: JobBuilder, store_kind: str
) -> None:
    """P-12: it is over for everyone at once: what is still set aside is known to be on its way back."""
    made = await many_set_aside(store, builder)
    await lifted_in_part(store)
    assert (await narrow_pauses.read(store)).items == []
    assert len(await ids(builder)) == 100
    late = await builder.waiting(type="held", repository="host/o/late")
    assert await ids(builder) == [late.job_id]
    if store_kind != "fakeredis":
        assert await invariants.check(store) == []
    await store.command("DEL", *(keys.bell(policy.id) for policy in (GPU,)))
    assert await ids(builder, GPU) == []
    assert await narrow_pauses.bring_back(store) == 2
    assert await bells(store, GPU) == [1]
    assert await store.command("HGET", keys.META, "pauses") is None
    assert set(await ids(builder, limit=200)) | set(await ids(builder, limit=200)) <= set(made)
    assert await store.command("ZCARD", keys.PARKED) == 0


async def test_what_happens_in_between_is_not_lost(store: Store, builder: JobBuilder) -> None:
    """P-12: heads are cancelled, jobs join, limits change and policies come between two slices."""
    made = await many_set_aside(store, builder)
    await lifted_in_part(store)
    for at in (150, 180, 229):
        await cancellation.cancel(store, made[at], actor="ann")
    joined = await builder.waiting(type="held", repository="host/o/r200")
    assert await ids(builder, GPU, limit=1) == [made[0]]
    await narrow_pauses.bring_back(store)
    assert await store.command("ZCARD", keys.PARKED) == 0
    left = {*made, joined.job_id} - {made[0], *(made[at] for at in (150, 180, 229))}
    claimed = {each for _ in range(4) for each in await ids(builder)}
    assert claimed == left


async def test_paused_again_before_all_are_back(store: Store, builder: JobBuilder) -> None:
    """P-12: what was given back is held again, and nothing is lost."""
    made = await many_set_aside(store, builder)
    await lifted_in_part(store)
    again = await paused(store, "type", "held")
    assert await store.run("bring_back") == ["DONE"]
    assert await ids(builder) == []
    assert await narrow_pauses.read(store) == Pauses(items=[again], version=3)
    await lifted(store, "type", "held")
    claimed = {each for _ in range(4) for each in await ids(builder)}
    assert claimed == set(made)


async def test_what_a_limit_holds_back_too_stays_set_aside(store: Store, builder: JobBuilder) -> None:
    """Q-18: by the limit from then on, which gives it back when a slot is free."""
    running = await builder.running(affinity_key="k")
    held = await builder.waiting(type="held", affinity_key="k")
    await paused(store, "type", "held")
    assert await ids(builder) == []
    await lifted(store, "type", "held")
    assert await ids(builder) == []
    (parked,) = await store.command("ZRANGE", keys.PARKED, 0, -1)
    assert parked.startswith("key=k|")
    await done(builder, running.job_id)
    assert await ids(builder) == [held.job_id]


async def test_limits_change_while_it_is_under_way(store: Store, builder: JobBuilder) -> None:
    made = await many_set_aside(store, builder)
    await lifted_in_part(store)
    await store.run("set_limits", text=Limits({"type=held": 300}).text, by="test")
    await store.run("apply_limits")
    await narrow_pauses.bring_back(store)
    await limits.apply(store)
    claimed = {each for _ in range(4) for each in await ids(builder)}
    assert claimed == set(made)
