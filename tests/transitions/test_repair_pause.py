"""repair_pause: a lost pause record comes back as the audit says it was; in doubt, paused (P-11)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import StoreUninitialised
from sluicegate.store import cancellation, jobs, pause, repair
from sluicegate.store.connection import Store
from sluicegate.times import from_rfc3339
from tests.support.contents import changed, contents
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms


async def lose_the_record(store: Store) -> None:
    await store.command("DEL", keys.PAUSE)
    with pytest.raises(StoreUninitialised):
        await pause.read(store)


async def test_a_record_that_is_there_is_kept(store: Store, builder: JobBuilder) -> None:
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    before = await contents(store)
    assert not await repair.restore_pause(store)
    assert await contents(store) == before


async def test_it_was_paused(store: Store, builder: JobBuilder) -> None:
    """Mode, reason, who and when stand in the audit; the version is one that nobody has seen."""
    was = await pause.change(store, action="pause", mode="quiesce", reason="disk", actor="someone")
    await lose_the_record(store)
    before = await contents(store)
    assert await repair.restore_pause(store)
    state = await pause.read(store)
    assert (state.workers_paused, state.mode, state.reason) == (True, "quiesce", "disk")
    assert state.requested_by_user_id == "someone"
    # The audit's entry is stamped by the stream: before Redis 7.2 a moment after the script's own time.
    assert state.requested_at is not None
    assert was.requested_at is not None
    assert 0 <= from_rfc3339(state.requested_at) - from_rfc3339(was.requested_at) <= 20
    assert state.version == was.version + 1
    assert changed(before, await contents(store)) == {"pause", "meta", "audit", "control", "events"}
    made = await builder.waiting()
    assert await builder.claim() == []
    assert (await jobs.get(store, made.job_id)).status == "queued"


async def test_it_was_paused_until_a_time(store: Store, builder: JobBuilder) -> None:
    """P-13: it ends by itself all the same."""
    ends = await now_ms(store) + HOUR_MS
    was = await pause.change(
        store, action="pause", mode="drain", reason="disk", actor="someone", until_ms=ends
    )
    for _ in range(2):
        await lose_the_record(store)
        assert await repair.restore_pause(store)
        assert (await pause.read(store)).until == was.until


async def test_it_was_running(store: Store, builder: JobBuilder) -> None:
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    was = await pause.change(store, action="resume", actor="someone")
    await lose_the_record(store)
    assert await repair.restore_pause(store)
    state = await pause.read(store)
    assert (state.workers_paused, state.mode, state.version) == (False, None, was.version + 1)
    made = await builder.waiting()
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_other_entries_of_the_audit_are_passed_over(store: Store, builder: JobBuilder) -> None:
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    for _ in range(3):
        await cancellation.cancel(store, (await builder.waiting()).job_id, actor="someone")
    await lose_the_record(store)
    await repair.restore_pause(store)
    assert (await pause.read(store)).reason == "upgrade"


async def test_it_was_never_paused(store: Store, builder: JobBuilder) -> None:
    await lose_the_record(store)
    assert await repair.restore_pause(store)
    state = await pause.read(store)
    assert (state.workers_paused, state.version) == (False, 1)


async def test_in_doubt_it_is_paused(store: Store, builder: JobBuilder) -> None:
    """P-11: the store knows that there were pauses; the audit that would tell has been trimmed."""
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    was = await pause.change(store, action="resume", actor="someone")
    await store.command("DEL", keys.AUDIT)
    await lose_the_record(store)
    assert await repair.restore_pause(store)
    state = await pause.read(store)
    assert (state.workers_paused, state.mode, state.version) == (True, "drain", was.version + 1)
    assert state.requested_by_user_id == "system"
    assert "was lost" in str(state.reason)


async def test_lost_again_the_version_still_grows(store: Store, builder: JobBuilder) -> None:
    """Invariant 8: workers take no older version for a newer one."""
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")
    versions = []
    for _ in range(3):
        await lose_the_record(store)
        await repair.restore_pause(store)
        state = await pause.read(store)
        assert (state.workers_paused, state.mode) == (True, "drain")
        versions.append(state.version)
    assert versions == sorted(set(versions))
    resumed = await pause.change(store, action="resume", actor="someone")
    assert resumed.version == versions[-1] + 1


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    await lose_the_record(store)
    assert await repair.restore_pause(store)
    before = await contents(store)
    assert not await repair.restore_pause(store)
    assert await contents(store) == before
