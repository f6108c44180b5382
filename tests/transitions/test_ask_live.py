"""ask_live: an operator asks for a terminal on a run, once."""

from __future__ import annotations

import pytest
from msgspec import structs

from sluicegate.errors import Conflict, NotFound, TooLarge
from sluicegate.store import audit, claims, controls, events, live_sessions
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made


async def version_told(store: Store, made: Made) -> int:
    """As a heartbeat tells its worker."""
    lease = claims.Lease(made.job_id, made.token, 60_000)
    (answer,) = (await claims.renew(store, made.worker, [lease])).items
    assert isinstance(answer, claims.Wishes)
    return answer.live_version


async def test_a_session_is_asked_for_and_the_worker_told(store: Store, builder: JobBuilder) -> None:
    """L-1, L-3, L-4: kept, pushed, an event of the job, a control event, an audit entry."""
    made = await builder.running()
    assert await version_told(store, made) == 0
    before = await contents(store)
    session, new = await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    after = await contents(store)
    job = f"job:{made.job_id}"
    assert changed(before, after) == {
        job, f"{job}:live", f"{job}:events", f"{job}:controls", "live", "audit", "control", "events",
        "counters",
    }  # fmt: skip
    assert (new, session.status, session.provider, session.worker_id, session.requested_by_user_id) == (
        True, "starting", "tmux", None, "ann",
    )  # fmt: skip
    (pushed,) = after["control"]["entries"].values()
    assert pushed == {"kind": "live", "job": made.job_id, "worker": "worker-1", "token": "1", "live": "1"}
    assert await version_told(store, made) == 1
    told = (await events.page(store, made.job_id))[-1]
    assert told.payload == {
        "kind": "task.live.requested", "actorUserId": "ann", "sessionId": session.id, "provider": "tmux",
    }  # fmt: skip
    (event,), _ = await controls.page(store, made.job_id)
    assert (event.action, event.actor_user_id, event.metadata_json) == ("create", "ann", {"provider": "tmux"})
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.mode, entry.actor_user_id, entry.target) == (
        "live_session", "create", "tmux", "ann", made.job_id,
    )  # fmt: skip
    known = await live_sessions.read(store, made.job_id)
    assert known is not None and (known.session, known.lease_token) == (session, None)


@pytest.mark.parametrize("ready", [False, True])
async def test_what_is_open_stays(store: Store, builder: JobBuilder, ready: bool) -> None:
    """L-1: enabling is idempotent, also for another operator, and when the worker opened it by itself."""
    made = await builder.running()
    if ready:
        await live_sessions.report(store, made.worker, made.job_id, made.token, "ready", provider="tmux")
    else:
        await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    before = await contents(store)
    session, new = await live_sessions.ask(store, made.job_id, "tmux", actor="bob")
    assert (new, session.status) == (False, "ready" if ready else "starting")
    assert await contents(store) == before


async def test_one_of_another_kind_is_refused(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    await live_sessions.report(store, made.worker, made.job_id, made.token, "ready", provider="browser")
    before = await contents(store)
    with pytest.raises(Conflict) as refused:
        await live_sessions.ask(store, made.job_id, "tmate", actor="ann")
    assert (refused.value.code, refused.value.extra) == (
        "live_session_state_conflict", {"sessionStatus": "ready"},
    )  # fmt: skip
    assert await contents(store) == before


async def test_after_one_that_is_over_there_is_another(store: Store, builder: JobBuilder) -> None:
    """L-1: also within an attempt, when an operator asks."""
    made = await builder.running()
    await live_sessions.report(store, made.worker, made.job_id, made.token, "ready", provider="browser")
    before = (await live_sessions.read(store, made.job_id)).session  # type: ignore[union-attr]
    await live_sessions.report(store, made.worker, made.job_id, made.token, "error", error="broken")
    session, new = await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    assert new and session.id != before.id
    assert (session.status, session.error_message, session.ready_at) == ("starting", None, None)
    assert await version_told(store, made) == 2


@pytest.mark.parametrize("state", ["waiting", "delayed", "returned"])
async def test_a_queued_run_keeps_it_for_its_worker(store: Store, builder: JobBuilder, state: str) -> None:
    made = await builder.made(state)
    await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    if state == "delayed":
        return
    (attempt,) = (
        await claims.open_attempts(
            store, builder.everything, worker_id="w", lease_ms=60_000, limit=1, request_id="r"
        )
    ).attempts
    assert attempt.live_version == 1


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "dead_letter", "cancelling"])
async def test_an_ended_run_is_refused(store: Store, builder: JobBuilder, state: str) -> None:
    made = await builder.made(state)
    before = await contents(store)
    with pytest.raises(Conflict) as refused:
        await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    assert refused.value.code == "job_state_conflict"
    assert await contents(store) == before


@pytest.mark.parametrize("job_id", ["no id", "0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000"])
async def test_an_unknown_run_is_not_found(store: Store, job_id: str) -> None:
    before = await contents(store)
    with pytest.raises(NotFound):
        await live_sessions.ask(store, job_id, "tmux", actor="ann")
    with pytest.raises(NotFound):
        await live_sessions.read(store, job_id)
    assert await contents(store) == before


async def test_control_events_are_bounded(store: Store, builder: JobBuilder) -> None:
    store.settings = structs.replace(store.settings, max_control_events=1)
    made = await builder.running()
    await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    await live_sessions.revoke(store, made.job_id, actor="ann")
    before = await contents(store)
    with pytest.raises(TooLarge, match="SLUICEGATE_MAX_CONTROL_EVENTS"):
        await live_sessions.ask(store, made.job_id, "tmux", actor="ann")
    assert await contents(store) == before
