"""end_pauses: what was paused until a time goes on at that time, as it stands then (P-13)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import Conflict
from sluicegate.model import SystemState
from sluicegate.store import audit, pause
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms


async def paused_briefly(store: Store, reason: str = "upgrade") -> SystemState:
    """A pause whose time has come, and which nobody has ended yet."""
    ends = await now_ms(store) + HOUR_MS
    state = await pause.change(store, action="pause", mode="drain", reason=reason, actor="ann", until_ms=ends)
    await store.command("HSET", keys.PAUSE, "until", await now_ms(store) - 1)
    return state


async def test_with_nothing_due_nothing_is_written(store: Store, builder: JobBuilder) -> None:
    before = await contents(store)
    assert await pause.end_due(store) is None
    assert await contents(store) == before
    for ends in (None, await now_ms(store) + HOUR_MS):
        await pause.change(store, action="pause", mode="drain", reason=str(ends), actor="ann", until_ms=ends)
        before = await contents(store)
        assert await pause.end_due(store) is None
        assert await contents(store) == before


async def test_the_workers_go_on(store: Store, builder: JobBuilder) -> None:
    """P-13, 70-47: with a version of its own, audited as the system's, and bells for those who wait."""
    made = await builder.waiting()
    await builder.claim(builder.work, limit=0)
    was = await paused_briefly(store)
    await store.command("DEL", keys.bell(builder.work.id))
    state = await pause.end_due(store)
    assert state == await pause.read(store)
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
    assert await pause.end_due(store)
    assert (await audit.page(store))[0][0].forced


async def test_a_change_just_before_is_obeyed(store: Store, builder: JobBuilder) -> None:
    """P-13: the time was moved, or dropped, after somebody saw that it had come."""
    await paused_briefly(store)
    later = await pause.change(
        store, action="pause", mode="drain", reason="longer", actor="bob",
        until_ms=await now_ms(store) + HOUR_MS,
    )  # fmt: skip
    assert await pause.end_due(store) is None
    assert await pause.read(store) == later
    await pause.change(store, action="pause", mode="drain", reason="for good", actor="bob")
    assert await pause.end_due(store) is None
    await pause.change(store, action="resume", actor="bob")
    assert await pause.end_due(store) is None


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    """Two sweepers: one ends it, the other finds nothing to do."""
    await paused_briefly(store)
    assert await pause.end_due(store)
    before = await contents(store)
    assert await pause.end_due(store) is None
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
    assert await pause.end_due(store) is None
    assert await contents(store) == before
