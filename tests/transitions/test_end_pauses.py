"""end_pauses: what was paused until a time goes on at that time, as it stands then (P-13)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import Conflict
from sluicegate.model import NarrowPause, PauseScope, SystemState
from sluicegate.pauses import name_of
from sluicegate.store import audit, narrow_pauses, pause
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms
from tests.transitions.test_pause_some import ids, paused

NOTHING = (None, [])


async def paused_briefly(store: Store, reason: str = "upgrade") -> SystemState:
    """A pause whose time has come, and which nobody has ended yet."""
    ends = await now_ms(store) + HOUR_MS
    state = await pause.change(store, action="pause", mode="drain", reason=reason, actor="ann", until_ms=ends)
    await store.command("HSET", keys.PAUSE, "until", await now_ms(store) - 1)
    return state


async def test_with_nothing_due_nothing_is_written(store: Store, builder: JobBuilder) -> None:
    before = await contents(store)
    assert await pause.end_due(store) == NOTHING
    assert await contents(store) == before
    for ends in (None, await now_ms(store) + HOUR_MS):
        await pause.change(store, action="pause", mode="drain", reason=str(ends), actor="ann", until_ms=ends)
        before = await contents(store)
        assert await pause.end_due(store) == NOTHING
        assert await contents(store) == before


async def test_the_workers_go_on(store: Store, builder: JobBuilder) -> None:
    """P-13, 70-47: with a version of its own, audited as the system's, and bells for those who wait."""
    made = await builder.waiting()
    await builder.claim(builder.work, limit=0)
    was = await paused_briefly(store)
    await store.command("DEL", keys.bell(builder.work.id))
    state, lifted = await pause.end_due(store)
    assert (state, lifted) == (await pause.read(store), [])
    assert state is not None
    assert state == SystemState(workers_paused=False, updated_at=state.updated_at, version=was.version + 1)
    entry = (await audit.page(store))[0][0]
    assert (entry.control, entry.action, entry.actor_user_id, entry.reason, entry.forced) == (
        "worker_pause", "resume", "system", "its time was over", False,
    )  # fmt: skip
    assert await store.command("LLEN", keys.bell(builder.work.id)) == 1
    assert [job.id for job in await builder.claim()] == [made.job_id]


@pytest.mark.parametrize("state", ["running", "stale"])
async def test_it_goes_on_though_jobs_run(store: Store, builder: JobBuilder, state: str) -> None:
    """P-13: a person who resumes has to say so; the audit tells it apart."""
    await builder.made(state)
    await paused_briefly(store)
    assert (await pause.end_due(store)).system
    assert (await audit.page(store))[0][0].forced


async def test_a_change_just_before_is_obeyed(store: Store, builder: JobBuilder) -> None:
    """P-13: the time was moved, or dropped, after somebody saw that it had come."""
    await paused_briefly(store)
    later = await pause.change(
        store, action="pause", mode="drain", reason="longer", actor="bob",
        until_ms=await now_ms(store) + HOUR_MS,
    )  # fmt: skip
    assert await pause.end_due(store) == NOTHING
    assert await pause.read(store) == later
    await pause.change(store, action="pause", mode="drain", reason="for good", actor="bob")
    assert await pause.end_due(store) == NOTHING
    await pause.change(store, action="resume", actor="bob")
    assert await pause.end_due(store) == NOTHING


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    """Two sweepers: one ends it, the other finds nothing to do."""
    await paused_briefly(store)
    assert await pause.end_due(store) != NOTHING
    before = await contents(store)
    assert await pause.end_due(store) == NOTHING
    assert await contents(store) == before


async def test_a_resume_after_the_end_finds_it_ended(store: Store, builder: JobBuilder) -> None:
    seen = await paused_briefly(store)
    await pause.end_due(store)
    with pytest.raises(Conflict, match="version"):
        await pause.change(store, action="resume", actor="bob", expected_version=seen.version)


@pytest.mark.damages_the_store
@pytest.mark.parametrize("field", ["until", "version", "paused"])
async def test_a_record_that_cannot_be_read_is_left_to_the_repair(
    store: Store, builder: JobBuilder, field: str
) -> None:
    """P-11: in doubt it stays paused."""
    await paused_briefly(store)
    await store.command("HSET", keys.PAUSE, field, "soon")
    before = await contents(store)
    assert await pause.end_due(store) == NOTHING
    assert await contents(store) == before


async def narrowly_paused_briefly(store: Store, scope: PauseScope, value: str) -> NarrowPause:
    ends = await now_ms(store) + HOUR_MS
    state = await paused(store, scope, value, until_ms=ends)
    name = name_of(scope, value)
    record = await store.command("HGET", keys.PAUSES, name)
    await store.command("HSET", keys.PAUSES, name, record.replace(str(ends), str(await now_ms(store) - 1)))
    return state


async def test_narrower_pauses_end_too(store: Store, builder: JobBuilder) -> None:
    """P-12, P-13: those whose time has come, and no other; what they held back is given back after it."""
    made = await builder.waiting(type="held", repository="host/o/r")
    await paused(store, "type", "other", until_ms=await now_ms(store) + HOUR_MS)
    await narrowly_paused_briefly(store, "type", "held")
    await narrowly_paused_briefly(store, "repository", "host/o/r")
    await narrowly_paused_briefly(store, "worker", "w1")
    assert await ids(builder) == []
    state, lifted = await pause.end_due(store)
    assert state is None
    assert sorted((each.scope, each.mode) for each in lifted) == [
        ("repository", None), ("type", None), ("worker", None),
    ]  # fmt: skip
    assert [each.value for each in (await narrow_pauses.read(store)).items] == ["other"]
    entries = (await audit.page(store))[0][:3]
    assert {(entry.action, entry.actor_user_id, entry.reason) for entry in entries} == {
        ("resume", "system", "its time was over"),
    }  # fmt: skip
    await narrow_pauses.bring_back(store)
    assert await ids(builder, worker="w1") == [made.job_id]
    assert await pause.end_due(store) == NOTHING


async def test_a_narrower_pause_that_was_moved_goes_on(store: Store, builder: JobBuilder) -> None:
    """P-13: a change just before is obeyed."""
    await narrowly_paused_briefly(store, "type", "held")
    later = await paused(store, "type", "held", until_ms=await now_ms(store) + HOUR_MS)
    assert await pause.end_due(store) == NOTHING
    assert (await narrow_pauses.read(store)).items == [later]


async def test_many_end_one_pass_after_another(store: Store, builder: JobBuilder) -> None:
    """A script stops nobody for long: twenty at a time."""
    for at in range(25):
        await narrowly_paused_briefly(store, "worker", f"w{at}")
    assert len((await pause.end_due(store)).lifted) == 20
    assert len((await pause.end_due(store)).lifted) == 5
    assert (await narrow_pauses.read(store)).items == []
