"""report_live: the word of the attempt that has a live session, and of no other."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from sluicegate import keys
from sluicegate.errors import Conflict
from sluicegate.sealing import SealingKeys, new_key
from sluicegate.store import endings, events, live_sessions, terminals
from sluicegate.store.connection import Store
from sluicegate.store.live_sessions import Known, Ways
from tests.support import fences
from tests.support.contents import changed, contents, kinds
from tests.support.job_builder import JobBuilder, Made

TMATE = Ways(
    attach_ro="ssh ro@relay", attach_rw="ssh secret@relay", web_ro="https://relay/ro", web_rw="https://relay/s",
    tmate_session="s", tmate_socket="/tmp/s",
)  # fmt: skip


@pytest.fixture
def store(store: Store) -> Store:
    """With a key to seal with."""
    store.settings = structs.replace(
        store.settings, live_keys=SealingKeys.read(new_key("one")), live_session_allow_web=True
    )
    return store


async def report(store: Store, made: Made, status: Any, **said: Any) -> Known:
    known = await live_sessions.report(store, made.worker, made.job_id, made.token, status, **said)
    assert known is not None
    return known


async def session(store: Store, made: Made) -> Known:
    known = await live_sessions.read(store, made.job_id)
    assert known is not None
    return known


async def opened(store: Store, builder: JobBuilder, ways: Ways = TMATE) -> Made:
    """A running job with a session that is ready."""
    made = await builder.running()
    await report(store, made, "ready", provider="tmate", ways=ways, host="box")
    return made


async def test_a_worker_opens_one_by_itself_in_one_call(store: Store, builder: JobBuilder) -> None:
    """L-2, 70-60; nobody asked, so that the history says nothing."""
    made = await builder.running()
    before = await contents(store)
    known = await report(store, made, "ready", provider="tmate", ways=TMATE, host="box")
    after = await contents(store)
    job = f"job:{made.job_id}"
    assert changed(before, after) == {job, f"{job}:live", "live", "events", "counters"}
    assert await session(store, made) == known
    assert (known.lease_token, known.version, known.granted_until_ms) == (made.token, 1, 0)
    found = known.session
    assert (found.status, found.worker_id, found.worker_hostname, found.attach_ro, found.web_ro) == (
        "ready", "worker-1", "box", "ssh ro@relay", "https://relay/ro",
    )  # fmt: skip
    assert found.ready_at == found.created_at == found.last_heartbeat_at and found.ended_at is None
    lasts = known.expires_ms - int(after[f"{job}:live"]["ready_at"])
    assert lasts == store.settings.live_session_ttl_minutes * 60_000
    stored = after[f"{job}:live"]
    assert "secret" not in str(after) and stored["rw"].startswith("one:")


async def test_one_that_was_asked_for_is_taken_up(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    asked, _ = await live_sessions.ask(store, made.job_id, "tmate", actor="ann")
    assert (await report(store, made, "starting")).session.id == asked.id
    known = await report(store, made, "ready", ways=TMATE)
    assert (known.session.id, known.session.status, known.lease_token) == (asked.id, "ready", made.token)
    assert (await kinds(store, made.job_id))[-1] == "task.live.ready"


async def test_another_kind_than_was_asked_for_is_refused(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    await live_sessions.ask(store, made.job_id, "tmate", actor="ann")
    before = await contents(store)
    with pytest.raises(Conflict, match="starting"):
        await report(store, made, "ready", provider="browser")
    assert await contents(store) == before


async def test_new_ways_replace_the_old(store: Store, builder: JobBuilder) -> None:
    """L-10: after a grant the way to write is another; what is not named is gone."""
    made = await opened(store, builder)
    sealed = await store.command("HGET", keys.job_live(made.job_id), "rw")
    known = await report(store, made, "ready", ways=Ways(attach_ro="ssh new@relay", attach_rw="ssh new"))
    assert (known.session.attach_ro, known.session.web_ro) == ("ssh new@relay", None)
    assert await store.command("HGET", keys.job_live(made.job_id), "rw") != sealed
    assert (await live_sessions.grant(store, made.job_id, 1, actor="ann"))[1:] == ("ssh new", None)


@pytest.mark.parametrize("status", ["starting", "ready"])
async def test_twice_is_once(store: Store, builder: JobBuilder, status: Any) -> None:
    made = await opened(store, builder)
    known = await report(store, made, status, ways=TMATE)
    again = await report(store, made, status, ways=TMATE)
    heard = structs.replace(again.session, last_heartbeat_at=known.session.last_heartbeat_at)
    assert again._replace(session=heard, heard_ms=known.heard_ms) == known
    assert int(await store.command("HGET", keys.COUNTERS, "live:ready")) == 1


@pytest.mark.parametrize(("status", "asked"), [("ended", False), ("error", False), ("ended", True)])
async def test_an_end_leaves_no_way_in(store: Store, builder: JobBuilder, status: Any, asked: bool) -> None:
    """L-8, L-12: the reason stays. A failure is always told; an end where somebody asked."""
    made = await builder.running()
    if asked:
        await live_sessions.ask(store, made.job_id, "tmate", actor="ann")
    await report(store, made, "ready", provider="tmate", ways=TMATE)
    await live_sessions.grant(store, made.job_id, 5, actor="ann")
    await terminals.show(store, made.worker, made.job_id, made.token, [terminals.Piece(0, "d", b"x")])
    await terminals.type_into(store, made.job_id, "ann", "d", b"x")
    await terminals.keep_watched(store, [made.job_id])
    known = await report(store, made, status, error="why")
    found = known.session
    assert (found.status, found.error_message, found.attach_ro, found.rw_granted_until) == (
        status, "why", None, None,
    )  # fmt: skip
    assert found.ended_at is not None
    stored = await store.command("HGETALL", keys.job_live(made.job_id))
    assert "rw" not in stored and await store.command("ZCARD", keys.LIVE) == 0
    assert not await store.command("EXISTS", keys.job_typed(made.job_id), keys.job_watched(made.job_id))
    assert await store.command("PTTL", keys.job_terminal(made.job_id)) <= 5000
    told = f"task.live.{status}" in await kinds(store, made.job_id)
    assert told == (asked or status == "error")
    before = await contents(store)
    assert await report(store, made, status, error="why") == known
    assert await report(store, made, "ready", ways=TMATE) == known, "what is over is not revived"
    assert await contents(store) == before


async def test_a_failure_before_it_was_open_is_on_record(store: Store, builder: JobBuilder) -> None:
    """L-12."""
    made = await builder.running()
    known = await report(store, made, "error", provider="tmate", error="tmate is not installed")
    assert (known.session.status, known.session.ready_at) == ("error", None)
    told = (await events.page(store, made.job_id))[-1]
    assert (told.level, told.message) == ("warn", "The live session failed: tmate is not installed")


async def test_a_revoked_one_is_over_once_it_is_torn_down(store: Store, builder: JobBuilder) -> None:
    """L-10: it stays revoked; a worker that has not heard of it does not revive it."""
    made = await opened(store, builder)
    await live_sessions.revoke(store, made.job_id, actor="ann")
    assert (await report(store, made, "ready", ways=TMATE)).session.status == "revoked"
    known = await report(store, made, "ended")
    assert (known.session.status, known.session.ended_at is not None) == ("revoked", True)
    assert await store.command("ZCARD", keys.LIVE) == 0


async def test_a_late_end_spares_the_one_that_was_asked_for_since(store: Store, builder: JobBuilder) -> None:
    made = await opened(store, builder)
    await live_sessions.revoke(store, made.job_id, actor="ann")
    asked, _ = await live_sessions.ask(store, made.job_id, "tmate", actor="ann")
    before = await contents(store)
    assert (await report(store, made, "ended")).session == asked
    assert await contents(store) == before


async def test_a_later_attempt_has_one_of_its_own(store: Store, builder: JobBuilder) -> None:
    """L-1: whatever the one before left open; of that, nothing is left."""
    made = await opened(store, builder)
    await live_sessions.grant(store, made.job_id, 5, actor="ann")
    first = (await session(store, made)).session
    await builder.ended(made, endings.Release(made.job_id, made.token, "shutting down"))
    second = await builder.opened(made.job_id, builder.work, worker="worker-2")
    known = await report(store, second, "starting", provider="browser")
    assert known.session.id != first.id and known.lease_token == second.token
    assert (known.session.provider, known.session.rw_granted_until) == ("browser", None)


async def test_an_earlier_end_may_be_named(store: Store, builder: JobBuilder) -> None:
    """70-25: a later one than the settings allow is cut."""
    made = await opened(store, builder)
    ends = (await session(store, made)).expires_ms
    assert (await report(store, made, "ready", ways=TMATE, expires_ms=ends + 5)).expires_ms == ends
    assert (await report(store, made, "ready", ways=TMATE, expires_ms=ends - 5)).expires_ms == ends - 5


async def test_pages_elsewhere_need_leave(store: Store, builder: JobBuilder) -> None:
    """L-11."""
    store.settings = structs.replace(store.settings, live_session_allow_web=False)
    made = await opened(store, builder)
    assert (await session(store, made)).session.web_ro is None
    assert (await live_sessions.grant(store, made.job_id, 1, actor="ann")).web_rw is None
    known = await report(store, made, "ready", ways=Ways(web_ro="/jobs/x"))
    assert known.session.web_ro == "/jobs/x", "one of this deployment is no page elsewhere"
    for elsewhere in ("//elsewhere/x", "/\\elsewhere/x", "/\t/elsewhere/x"):
        assert (await report(store, made, "ready", ways=Ways(web_ro=elsewhere))).session.web_ro is None


async def test_what_cannot_be_sealed_is_not_stored(store: Store, builder: JobBuilder) -> None:
    """L-2."""
    store.settings = structs.replace(store.settings, live_keys=SealingKeys())
    made = await builder.running()
    before = await contents(store)
    with pytest.raises(Conflict, match="SLUICEGATE_LIVE_KEYS"):
        await report(store, made, "ready", provider="tmate", ways=TMATE)
    assert await contents(store) == before


@pytest.mark.parametrize("case", fences.cases("report"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)
    empty = dict.fromkeys(["host", "attach_ro", "web_ro", "rw", "tmate_session", "tmate_socket", "error"], "")

    async def call() -> list[Any]:
        return [
            await store.run(
                "report_live", worker=made.worker, id=made.job_id, token=made.token, session="s",
                status="ready", provider="browser", ttl_ms=60_000, expires_ms=0, **empty,
            )
        ]  # fmt: skip

    await fences.refuses(store, call, case.word)
