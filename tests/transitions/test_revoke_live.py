"""revoke_live: a live session is over for everyone at once."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import Conflict, NotFound
from sluicegate.store import audit, controls, endings, events, live_sessions
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder
from tests.transitions.test_ask_live import version_told
from tests.transitions.test_report_live import opened, report, session, store

__all__ = ["store"]


async def test_it_is_over_for_everyone(store: Store, builder: JobBuilder) -> None:
    """L-4, L-10: no way in is left, the worker is told to tear it down; audited."""
    made = await opened(store, builder)
    await live_sessions.grant(store, made.job_id, 15, actor="bob")
    before = await contents(store)
    revoked = await live_sessions.revoke(store, made.job_id, actor="ann", reason="wrong task")
    after = await contents(store)
    job = f"job:{made.job_id}"
    assert changed(before, after) == {
        job, f"{job}:live", f"{job}:events", f"{job}:controls", "live", "audit", "control", "events",
        "counters",
    }  # fmt: skip
    assert (revoked.status, revoked.attach_ro, revoked.rw_granted_until, revoked.revoked_by_user_id) == (
        "revoked", None, None, "ann",
    )  # fmt: skip
    assert revoked.ended_at is None, "its worker has not torn it down yet"
    assert not {"rw", "rw_by", "rw_until"} & after[f"{job}:live"].keys()
    assert await version_told(store, made) == 3
    (event,) = (await controls.page(store, made.job_id))[0][1:]
    assert (event.action, event.actor_user_id, event.metadata_json) == (
        "revoke",
        "ann",
        {"reason": "wrong task"},
    )
    entry = (await audit.page(store))[0][0]
    assert (entry.control, entry.action, entry.reason) == ("live_session", "revoke", "wrong task")
    assert (await events.page(store, made.job_id))[-1].message == "ann revoked the live session"


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    revoked = await live_sessions.revoke(store, made.job_id, actor="ann")
    before = await contents(store)
    assert await live_sessions.revoke(store, made.job_id, actor="bob", reason="x") == revoked
    assert await contents(store) == before


@pytest.mark.parametrize("case", ["never taken up", "its attempt is over"])
async def test_without_a_worker_nothing_is_left_at_once(store: Store, builder: JobBuilder, case: str) -> None:
    if case == "never taken up":
        made = await builder.waiting()
        await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    else:
        made = await opened(store, builder)
        await builder.ended(made, endings.Complete(made.job_id, made.token))
    revoked = await live_sessions.revoke(store, made.job_id, actor="ann")
    assert (revoked.status, revoked.ended_at is not None) == ("revoked", True)
    assert await store.command("ZCARD", keys.LIVE) == 0


@pytest.mark.parametrize("status", ["ended", "error"])
async def test_one_that_is_over_is_refused(store: Store, builder: JobBuilder, status: str) -> None:
    made = await opened(store, builder)
    await report(store, made, status)
    before = await contents(store)
    with pytest.raises(Conflict) as refused:
        await live_sessions.revoke(store, made.job_id, actor="ann")
    assert refused.value.extra == {"sessionStatus": status}
    assert await contents(store) == before


async def test_a_run_without_one_is_refused(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    before = await contents(store)
    for job_id, code in (
        (made.job_id, "live_session_not_found"),
        ("0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000", "job_not_found"),
    ):
        with pytest.raises(NotFound) as refused:
            await live_sessions.revoke(store, job_id, actor="ann")
        assert refused.value.code == code
    assert await contents(store) == before


async def test_another_may_be_asked_for(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    await live_sessions.revoke(store, made.job_id, actor="ann")
    asked, new = await live_sessions.ask(store, made.job_id, "browser", actor="ann")
    assert new and (await session(store, made)).session == asked
