"""grant_live: one operator may type, until a time."""

from __future__ import annotations

import pytest
from msgspec import structs

from sluicegate import keys
from sluicegate.errors import Conflict, NotFound, TooLarge
from sluicegate.sealing import SealingKeys, new_key
from sluicegate.store import audit, controls, endings, events, live_sessions
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, now_ms
from tests.transitions.test_ask_live import version_told
from tests.transitions.test_report_live import TMATE, opened, report, session, store

__all__ = ["store"]


async def test_an_operator_may_type(store: Store, builder: JobBuilder) -> None:
    """L-4, L-10: the ways to write are told, and only so; audited with who and how long."""
    made = await opened(store, builder)
    before = await contents(store)
    granted = await live_sessions.grant(store, made.job_id, 15, actor="ann")
    after = await contents(store)
    job = f"job:{made.job_id}"
    assert changed(before, after) == {
        job, f"{job}:live", f"{job}:events", f"{job}:controls", "audit", "control", "events",
    }  # fmt: skip
    assert (granted.attach_rw, granted.web_rw) == ("ssh secret@relay", "https://relay/s")
    until = int(after[f"{job}:live"]["rw_until"])
    assert 14 * 60_000 < until - await now_ms(store) <= 15 * 60_000
    assert (await session(store, made)).granted_until_ms == until
    assert granted.session.rw_granted_to == "ann"
    told = (await events.page(store, made.job_id))[-1].payload
    assert told == {
        "kind": "task.live.granted", "actorUserId": "ann", "sessionId": granted.session.id,
        "grantedUntil": granted.session.rw_granted_until, "ttlMinutes": 15,
    }  # fmt: skip
    (event,), _ = await controls.page(store, made.job_id)
    assert (event.action, event.metadata_json) == ("grant", {"ttlMinutes": 15})
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.mode, entry.reason) == (
        "live_session",
        "grant",
        "15 min",
        None,
    )
    assert await version_told(store, made) == 2
    assert "secret" not in str(after)


async def test_twice_it_lasts_from_then_on(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    first = await live_sessions.grant(store, made.job_id, 200, actor="ann")
    second = await live_sessions.grant(store, made.job_id, 1, actor="ann")
    assert second.session.rw_granted_until < first.session.rw_granted_until  # type: ignore[operator]
    assert [entry.reason for entry in (await audit.page(store))[0]] == [None, None]


async def test_another_operator_takes_its_place(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    await live_sessions.grant(store, made.job_id, 15, actor="ann")
    granted = await live_sessions.grant(store, made.job_id, 15, actor="bob")
    assert granted.session.rw_granted_to == "bob"
    assert (await audit.page(store))[0][0].reason == "in place of ann"
    assert (await events.page(store, made.job_id))[-1].payload["replaces"] == "ann"  # type: ignore[index]


async def test_it_lasts_no_longer_than_the_session(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    ends = (await session(store, made)).expires_ms
    await live_sessions.grant(store, made.job_id, 240, actor="ann")
    assert (await session(store, made)).granted_until_ms == ends


async def test_the_browsers_terminal_is_one_page(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder, live_sessions.Ways(web_ro="/jobs/x"))
    assert (await live_sessions.grant(store, made.job_id, 1, actor="ann")).web_rw == "/jobs/x"


@pytest.mark.parametrize("state", ["starting", "revoked", "ended", "error", "expired", "attempt over"])
async def test_one_that_is_not_ready_is_refused(store: Store, builder: JobBuilder, state: str) -> None:
    """L-4."""
    made = await builder.running()
    if state == "starting":
        await live_sessions.ask(store, made.job_id, "tmate", actor="ann")
    else:
        await report(store, made, "ready", provider="tmate", ways=TMATE)
    match state:
        case "revoked":
            await live_sessions.revoke(store, made.job_id, actor="ann")
        case "ended" | "error":
            await report(store, made, state)
        case "expired":
            await store.command("HSET", keys.job_live(made.job_id), "expires_at", "1")
        case "attempt over":
            await builder.ended(made, endings.Complete(made.job_id, made.token))
    before = await contents(store)
    with pytest.raises(Conflict) as refused:
        await live_sessions.grant(store, made.job_id, 1, actor="ann")
    assert refused.value.code == "live_session_state_conflict"
    assert await contents(store) == before


async def test_a_run_without_one_is_refused(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    before = await contents(store)
    with pytest.raises(NotFound) as refused:
        await live_sessions.grant(store, made.job_id, 1, actor="ann")
    assert refused.value.code == "live_session_not_found"
    with pytest.raises(NotFound) as refused:
        await live_sessions.grant(store, "0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000", 1, actor="ann")
    assert refused.value.code == "job_not_found"
    assert await contents(store) == before


async def test_keys_rotate(store: Store, builder: JobBuilder) -> None:
    """L-2: an old key opens as long as it is there; without it nothing is granted, and the reason told."""
    made = await opened(store, builder)
    old, new = store.settings.live_keys, SealingKeys.read(new_key("two"))
    store.settings = structs.replace(store.settings, live_keys=SealingKeys((*new, *old)))
    assert (await live_sessions.grant(store, made.job_id, 1, actor="ann")).attach_rw == "ssh secret@relay"
    store.settings = structs.replace(store.settings, live_keys=new)
    before = await contents(store)
    with pytest.raises(Conflict, match="no key 'one'"):
        await live_sessions.grant(store, made.job_id, 1, actor="ann")
    assert await contents(store) == before


async def test_control_events_are_bounded(store: Store, builder: JobBuilder) -> None:
    """L-3: past the limit no grant, but always the revoke that ends it."""
    store.settings = structs.replace(store.settings, max_control_events=1)
    made = await opened(store, builder)
    await live_sessions.grant(store, made.job_id, 1, actor="ann")
    before = await contents(store)
    with pytest.raises(TooLarge, match="SLUICEGATE_MAX_CONTROL_EVENTS"):
        await live_sessions.grant(store, made.job_id, 1, actor="ann")
    assert await contents(store) == before
    assert (await live_sessions.revoke(store, made.job_id, actor="ann")).status == "revoked"
