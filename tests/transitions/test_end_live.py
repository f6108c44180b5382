"""end_live: the sweeper ends the live sessions that nobody ends any more."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store import endings, live_sessions, retention, sweeping
from sluicegate.store.connection import Store
from tests.support.contents import contents, kinds
from tests.support.job_builder import JobBuilder, Made
from tests.transitions.test_ask_live import version_told
from tests.transitions.test_report_live import opened, report, session, store

__all__ = ["store"]


async def due(store: Store, made: Made, **fields: str) -> None:
    """Its time has come to be looked at; and so it is with it."""
    for name, value in fields.items():
        await store.command("HSET", keys.job_live(made.job_id), name, value)
    await store.command("ZADD", keys.LIVE, 1, made.job_id)


async def test_a_silent_worker_leaves_no_session(store: Store, builder: JobBuilder) -> None:
    """L-8: whatever its lease says. Should the worker live, it is told."""
    made = await opened(store, builder)
    await live_sessions.grant(store, made.job_id, 15, actor="ann")
    await due(store, made, heard_at="1")
    assert await live_sessions.end_due(store) == 1
    known = await session(store, made)
    assert (known.session.status, known.session.error_message) == (
        "ended", "worker worker-1 was not heard of for 60 s",
    )  # fmt: skip
    assert known.session.ended_at and known.session.attach_ro is None and known.granted_until_ms == 0
    assert await version_told(store, made) == 3
    assert (await report(store, made, "ready")).session.status == "ended"
    before = await contents(store)
    assert await live_sessions.end_due(store) == 0
    assert await contents(store) == before


@pytest.mark.parametrize("end", ["completed", "released", "lease over"])
async def test_it_ends_with_its_attempt(store: Store, builder: JobBuilder, end: str) -> None:
    made = await builder.running()
    await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    await report(store, made, "ready")
    match end:
        case "completed":
            await builder.ended(made, endings.Complete(made.job_id, made.token))
        case "released":
            await builder.ended(made, endings.Release(made.job_id, made.token, None))
        case "lease over":
            await builder.lease_over(made)
            assert await sweeping.expire_leases(store) == 1
    await due(store, made)
    assert await live_sessions.end_due(store) == 1
    assert (await session(store, made)).session.status == "ended"
    assert (await kinds(store, made.job_id))[-1] == "task.live.ended"
    assert await store.command("ZCARD", keys.LIVE) == 0


async def test_its_time_passes_though_its_worker_lives(store: Store, builder: JobBuilder) -> None:
    """L-8: some seconds are left to the worker, which ends it in good order."""
    made = await opened(store, builder)
    await due(store, made, expires_at=str(await store.now_ms() - 1000))
    assert await live_sessions.end_due(store) == 0
    await due(store, made, expires_at=str(await store.now_ms() - 16_000))
    assert await live_sessions.end_due(store) == 1
    assert (await session(store, made)).session.error_message == "its time is over"


async def test_a_revoked_one_whose_worker_says_nothing(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    await live_sessions.revoke(store, made.job_id, actor="ann")
    await due(store, made)
    assert await live_sessions.end_due(store) == 1
    found = (await session(store, made)).session
    assert (found.status, found.ended_at is not None, found.error_message) == ("revoked", True, None)


async def test_one_that_nobody_takes_up(store: Store, builder: JobBuilder) -> None:
    """A waiting run keeps it, a running one whose worker has no terminals does not."""
    made = await builder.waiting()
    await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    await due(store, made, created_at="1")
    assert await live_sessions.end_due(store) == 0
    made = await builder.opened(made.job_id, builder.work, worker="w")
    await due(store, made)
    assert await live_sessions.end_due(store) == 0
    await store.command("HSET", keys.job(made.job_id), "started_at", "1")
    await due(store, made)
    assert await live_sessions.end_due(store) == 1
    found = (await session(store, made)).session
    assert (found.status, found.error_message) == ("error", "worker w did not open it in time")


async def test_what_is_well_stays(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    before = await contents(store)
    assert await live_sessions.end_due(store) == 0
    assert await contents(store) == before
    await due(store, made)
    assert await live_sessions.end_due(store) == 0
    assert (await session(store, made)).session.status == "ready"


async def test_as_many_as_asked(store: Store, builder: JobBuilder) -> None:
    for at in range(3):
        made = await builder.running(type=f"t{at}")
        await report(store, made, "ready", provider="browser")
        await due(store, made, heard_at="1")
    assert [await live_sessions.end_due(store, limit=2) for _ in range(3)] == [2, 1, 0]


async def test_a_removed_run_leaves_nothing(store: Store, builder: JobBuilder) -> None:
    """Q-15."""
    made = await opened(store, builder)
    await builder.ended(made, endings.Complete(made.job_id, made.token))
    await retention.remove(store, "succeeded", [made.job_id])
    assert await live_sessions.end_due(store) == 0
    left = await contents(store)
    assert "live" not in left and f"job:{made.job_id}:live" not in left
