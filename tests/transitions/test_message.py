"""message: what an operator says to an agent is kept, told to its worker, and on record."""

from __future__ import annotations

import pytest
from msgspec import structs

from sluicegate.errors import Conflict, Invalid, NotFound, TooLarge
from sluicegate.store import audit, controls, dead_letters, endings, messages
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder
from tests.transitions.test_control import ask, of, request, wanted


async def test_a_message_is_kept_and_the_worker_told(store: Store, builder: JobBuilder) -> None:
    """L-3, L-6."""
    made = await builder.running()
    before = await contents(store)
    event = await messages.send(store, made.job_id, "mind the gap", actor="ann")
    after = await contents(store)
    assert changed(before, after) == of(made) | {"audit", "control", "events"}
    assert (await controls.page(store, made.job_id))[0] == [event]
    control = await wanted(store, made)
    assert control is not None and (control.message_id, control.version) == (event.id, 1)
    (pushed,) = after["control"]["entries"].values()
    assert (pushed["kind"], pushed["message_id"]) == ("control", event.id)
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.target) == ("task_run", "message", made.job_id)


async def test_they_are_read_in_order_and_once(store: Store, builder: JobBuilder) -> None:
    """L-6: whatever else operators do in between."""
    made = await builder.running()
    assert await messages.after(store, made.job_id) == ([], None)
    sent = []
    for at in range(5):
        sent.append((await messages.send(store, made.job_id, f"no. {at}", actor="ann")).id)
        await ask(store, made, "pause", hard=at % 2 == 0)
    seen, known = [], None
    while True:
        part, more = await messages.after(store, made.job_id, known, limit=3)
        seen += [each.id for each in part]
        if more is None:
            break
        known = more
    assert seen == sent
    (last,), _ = await messages.after(store, made.job_id, sent[3])
    assert (last.message, last.actor_user_id) == ("no. 4", "ann")
    with pytest.raises(Invalid):
        await messages.after(store, made.job_id, "yesterday")


@pytest.mark.parametrize("state", ["waiting", "delayed", "returned"])
async def test_a_queued_run_keeps_it(store: Store, builder: JobBuilder, state: str) -> None:
    made = (await builder.made(state))._replace(token=0)
    event = await messages.send(store, made.job_id, "x", actor="ann")
    control = await wanted(store, made)
    assert control is not None and control.message_id == event.id


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "dead_letter", "cancelling"])
async def test_an_ended_run_is_refused(store: Store, builder: JobBuilder, state: str) -> None:
    made = await builder.made(state)
    before = await contents(store)
    with pytest.raises(Conflict) as refused:
        await messages.send(store, made.job_id, "x", actor="ann")
    assert refused.value.code == "job_state_conflict"
    assert await contents(store) == before


@pytest.mark.parametrize("job_id", ["no id", "0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000"])
async def test_an_unknown_run_is_not_found(store: Store, job_id: str) -> None:
    before = await contents(store)
    with pytest.raises(NotFound):
        await messages.send(store, job_id, "x", actor="ann")
    with pytest.raises(NotFound):
        await messages.after(store, job_id)
    assert await contents(store) == before


async def test_they_are_bounded(store: Store, builder: JobBuilder) -> None:
    store.settings = structs.replace(store.settings, max_control_events=1)
    made = await builder.running()
    await messages.send(store, made.job_id, "x", actor="ann")
    before = await contents(store)
    with pytest.raises(TooLarge, match="SLUICEGATE_MAX_CONTROL_EVENTS"):
        await messages.send(store, made.job_id, "x", actor="ann")
    assert await contents(store) == before


async def test_a_new_life_keeps_what_was_said(store: Store, builder: JobBuilder) -> None:
    """Nobody may have read it: which it was, the job's facts know."""
    made = await builder.running(max_attempts=1)
    event = await messages.send(store, made.job_id, "x", actor="ann")
    await ask(store, made, "pause")
    await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    await dead_letters.redrive(store, [made.job_id], actor="bob")
    (job,) = await builder.claim()
    assert job.payload["liveControl"] == {
        "paused": False, "hard": False, "takeover": False, "version": 1, "messageId": event.id,
    }  # fmt: skip
    assert await controls.request(store, made.job_id, request("pause"))
