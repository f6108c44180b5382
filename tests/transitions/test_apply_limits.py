"""apply_limits: slice by slice, whoever begins it and whoever ends it; claims wait for the last one."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store import cancellation, limit_invariants, limits
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder
from tests.transitions.test_limits import done, ids, slots


async def begin(store: Store, text: str) -> None:
    """A change that nobody has applied yet."""
    assert (await store.run("set_limits", text=text, by="test"))[0] == "CHANGED"


async def test_with_no_change_there_is_nothing_to_do(store: Store, builder: JobBuilder) -> None:
    before = await contents(store)
    assert await store.run("apply_limits") == ["DONE"]
    assert await contents(store) == before


async def test_a_claim_waits_and_helps(store: Store, builder: JobBuilder) -> None:
    """Q-18: the process that changed the setting may have died; none exceeds a limit half applied."""
    running = await builder.running()
    waiting = await builder.waiting()
    await begin(store, "|type=work=1|")
    reply = await store.run(
        "claim", worker="w", policy=builder.everything.id, lease_ms=1000, limit=1, request="r"
    )
    assert reply == ["LIMITS_CHANGING"]
    assert await ids(builder) == []
    assert await store.command("HGET", keys.META, "limits_at") is None
    await done(builder, running.job_id)
    assert await ids(builder) == [waiting.job_id]


async def test_what_happens_between_two_slices_is_not_lost(store: Store, builder: JobBuilder) -> None:
    """Q-18: jobs come, go and end while three hundred lanes are worked through."""
    assert await ids(builder) == []
    made = await builder.enqueued(
        *(builder.submission(repository=f"host/o/r{at}", affinity_key=f"k{at % 40}") for at in range(320))
    )
    running = await ids(builder, limit=20)
    await begin(store, "|repo=*=1|type=work=25|")
    for step in range(6):
        await store.run("apply_limits")
        await done(builder, running[step])
        await cancellation.cancel(store, made[100 + step], actor="ann")
        await builder.waiting(repository=f"host/o/r{200 + step}", affinity_key=f"k{step}")
    await limits.apply(store)
    assert await limit_invariants.check(store) == []
    assert len(await slots(store)) == 3 * 14
    assert len(await ids(builder)) == 11
    assert await limit_invariants.check(store) == []


async def test_a_second_change_begins_anew(store: Store, builder: JobBuilder) -> None:
    await builder.enqueued(*(builder.submission(repository=f"host/o/r{at}") for at in range(300)))
    assert len(await ids(builder, limit=10)) == 10
    await begin(store, "|repo=*=1|")
    await store.run("apply_limits")
    await store.run("apply_limits")
    await begin(store, "|type=work=12|")
    await limits.apply(store)
    assert len(await ids(builder)) == 2
    assert await limit_invariants.check(store) == []
