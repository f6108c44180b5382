"""One run under an operator's hand through the client, over each transport (H-10, L-3, L-5, 70-58)."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.client import Client
from sluicegate.errors import Conflict, Invalid, NotFound, TooLarge
from sluicegate.model import Job
from sluicegate.store import live_sessions
from sluicegate.store.connection import Store
from tests.support import given

TASK: dict[str, Any] = {
    "repository": "acme/app",
    "targetRuntime": "shell",
    "task": {"instructions": "Improve it", "steps": [{"id": "build"}, {}]},
}


async def running(store: Store) -> Job:
    return await given.running(store, "task", payload=TASK)


def control(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = job.payload["liveControl"]
    return found


async def test_a_run_from_pause_to_resume(client: Client, store: Store) -> None:
    job = await running(store)
    assert control(await client.runs.pause(job.id, reason="look"))["paused"]
    assert control(await client.runs.pause(job.id, hard=True))["hard"]
    taken = control(await client.runs.takeover(job.id, reason="mine"))
    assert (taken["takeover"], taken["hard"], taken["reason"]) == (True, True, "mine")
    back = control(await client.runs.resume(job.id, summary="did it", reason="done"))
    assert (back["paused"], back["summary"]["text"]) == (False, "did it")
    assert await client.get(job.id) == await client.runs.resume(job.id)
    page = await client.runs.control_events(job.id, limit=3)
    rest = await client.runs.control_events(job.id, cursor=page.next_cursor)
    assert [event.action for event in page.items + rest.items] == ["pause", "pause", "takeover", "resume"]
    assert {event.actor_user_id for event in page.items} == {"local-operator"}
    assert rest.next_cursor is None


async def test_steps_are_asked_for(client: Client, store: Store) -> None:
    job = await running(store)
    asked = [
        await client.runs.retry_step(job.id, "build", reason="flaky"),
        await client.runs.retry_step(job.id, "step-2", strategy="hard_reset"),
        await client.runs.hard_reset_step(job.id),
        await client.runs.resume_from_step(job.id, "step-1"),
    ]
    assert [
        (each["action"], each.get("stepId"), each.get("strategy"))
        for each in (control(job)["recovery"] for job in asked)
    ] == [
        ("retry_step", "build", "soft_reset"),
        ("retry_step", "step-2", "hard_reset"),
        ("hard_reset_step", None, "hard_reset"),
        ("resume_from_step", "build", None),
    ]


async def test_refusals_are_the_same(client: Client, store: Store) -> None:
    job = await running(store)
    with pytest.raises(Invalid) as wrong:
        await client.runs.retry_step(job.id, "nope")
    assert [each["path"] for each in wrong.value.extra["errors"]] == ["stepId"]
    with pytest.raises(Invalid) as odd:
        await client.runs.retry_step(job.id, "build", strategy="magic")  # type: ignore[arg-type]
    assert [each["path"] for each in odd.value.extra["errors"]] == ["strategy"]
    with pytest.raises(Invalid):
        await client.runs.control_events(job.id, limit=0)
    await given.complete(store, job)
    with pytest.raises(Conflict) as ended:
        await client.runs.pause(job.id)
    assert (ended.value.code, ended.value.extra) == ("job_state_conflict", {"jobStatus": "succeeded"})
    for unknown in ("01890000-0000-7000-8000-000000000000", "../jobs"):
        with pytest.raises(NotFound):
            await client.runs.pause(unknown)
        with pytest.raises(NotFound):
            await client.runs.control_events(unknown)


async def test_a_live_session_and_a_message(client: Client, store: Store) -> None:
    """L-4, L-6: the same over each transport."""
    job = await running(store)
    with pytest.raises(NotFound) as missing:
        await client.runs.live_session(job.id)
    assert missing.value.code == "live_session_not_found"
    asked = await client.runs.open_live_session(job.id, "tmux")
    assert (asked.status, asked.provider) == ("starting", "tmux")
    assert await client.runs.open_live_session(job.id, "tmux") == asked
    with pytest.raises(Conflict) as other:
        await client.runs.open_live_session(job.id)
    assert other.value.code == "live_session_state_conflict"
    with pytest.raises(Invalid) as early:
        await client.runs.grant_write(job.id, 5)
    assert early.value.code == "live_session_state_conflict"
    await live_sessions.report(store, "worker-1", job.id, int(job.lease_token or 0), "ready")
    granted = await client.runs.grant_write(job.id, 5)
    assert granted.session == await client.runs.live_session(job.id)
    assert granted.granted_until == granted.session.rw_granted_until
    assert (await client.runs.revoke(job.id, reason="enough")).status == "revoked"
    said = await client.runs.message(job.id, "mind the gap")
    assert said.metadata_json == {"message": "mind the gap"}
    page = await client.runs.control_events(job.id)
    assert [event.action for event in page.items] == ["create", "grant", "revoke", "message"]
    with pytest.raises(Invalid, match="message"):
        await client.runs.message(job.id, " ")
    with pytest.raises(TooLarge):
        await client.runs.message(job.id, "x" * 8193)
    with pytest.raises(Invalid, match="ttlMinutes"):
        await client.runs.grant_write(job.id, 241)
