"""`/api/task-runs/{id}/live-session` and `operator-messages`: what people and workers may do with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout
from msgspec import structs

from services.control.app import build
from sluicegate import keys
from sluicegate.http import serving
from sluicegate.model import Job
from sluicegate.sealing import SealingKeys, new_key
from sluicegate.settings import ControlSettings
from sluicegate.store import cancellation, events
from sluicegate.store.connection import Store
from tests.services.control.test_run_control import NOBODY, TASK
from tests.support import given
from tests.support.dump import dump
from tests.support.tokens import bearer, operator_token, worker_token

Answer = tuple[int, dict[str, Any]]
WAYS = {"provider": "tmate", "attachRo": "ssh ro@relay", "attachRw": "ssh rw-secret@relay"}


@pytest.fixture
def control_settings(control_settings: ControlSettings, store: Store) -> ControlSettings:
    """With a key to seal with; the store's own rules are the same."""
    changed = structs.replace(control_settings, live_keys=SealingKeys.read(new_key("one")))
    store.settings = changed
    return changed


async def post(control: ClientSession, job_id: str, what: str, body: Any = None, **headers: str) -> Answer:
    address = f"/api/task-runs/{job_id}/{what}"
    async with control.post(address, json=body or {}, headers=headers) as answer:
        return answer.status, await answer.json()


async def get(control: ClientSession, job_id: str, what: str = "live-session", **headers: str) -> Answer:
    async with control.get(f"/api/task-runs/{job_id}/{what}", headers=headers) as answer:
        return answer.status, await answer.json()


async def running(store: Store) -> Job:
    return await given.running(store, "task", payload=TASK)


async def reported(control: ClientSession, job: Job, status: str = "ready", **said: Any) -> Answer:
    body = {"workerId": job.claimed_by, "leaseToken": job.lease_token, "status": status, **said}
    return await post(control, job.id, "live-session/report", body)


async def ready(control: ClientSession, store: Store) -> Job:
    job = await running(store)
    code, _ = await reported(control, job, **WAYS, workerHostname="box")
    assert code == 200
    return job


async def test_a_session_from_asked_for_to_revoked(control: ClientSession, store: Store) -> None:
    """L-1 to L-4, L-8, L-10, 70-25, 70-50: the way to write is told by the grant, and nowhere else."""
    job = await running(store)
    assert (await get(control, job.id))[1]["code"] == "live_session_not_found"
    code, answer = await post(control, job.id, "live-session", {"provider": "tmate"})
    assert (code, answer["session"]["status"], answer["session"]["taskRunId"]) == (201, "starting", job.id)
    assert await post(control, job.id, "live-session", {"provider": "tmate"}) == (200, answer)
    code, wanted = await get(control, job.id, "live-session/worker?workerId=" + str(job.claimed_by))
    assert (code, wanted["revokeRequested"], wanted["rwGrantedUntil"], wanted["version"]) == (
        200,
        False,
        None,
        1,
    )
    await reported(control, job, "starting")
    code, told = await reported(control, job, **WAYS, workerHostname="box")
    assert (code, told["session"]["status"], told["leaseToken"]) == (200, "ready", job.lease_token)
    code, granted = await post(control, job.id, "live-session/grant-write", {"ttlMinutes": 20})
    assert (code, granted["attachRw"], granted["webRw"]) == (200, "ssh rw-secret@relay", None)
    assert granted["grantedUntil"] == granted["session"]["rwGrantedUntil"]
    code, seen = await get(control, job.id)
    session = seen["session"]
    assert (session["workerHostname"], session["attachRo"], session["rwGrantedTo"]) == (
        "box", "ssh ro@relay", "local-operator",
    )  # fmt: skip
    assert "secret" not in str(seen) and b"rw-secret" not in b"".join(dump(store.settings.redis_url).values())
    code, revoked = await post(control, job.id, "live-session/revoke", {"reason": "enough"})
    assert (code, revoked["session"]["status"]) == (200, "revoked")
    assert await post(control, job.id, "live-session/revoke") == (200, revoked)
    code, wanted = await get(control, job.id, "live-session/worker")
    assert wanted["revokeRequested"] is True
    code, over = await reported(control, job, "ended")
    assert (code, over["session"]["status"], "endedAt" in over["session"]) == (200, "revoked", True)
    _, listed = await get(control, job.id, "control-events")
    assert [(each["action"], each["metadataJson"]) for each in listed["items"]] == [
        ("create", {"provider": "tmate"}), ("grant", {"ttlMinutes": 20}), ("revoke", {"reason": "enough"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"ttlMinutes": 0}, "ttlMinutes"),
        ({"ttlMinutes": 241}, "ttlMinutes"),
        ({"ttlMinutes": 1.5}, "ttlMinutes"),
        ({"ttlMinutes": "15"}, "ttlMinutes"),
        ({"minutes": 15}, "minutes"),
    ],
    ids=str,
)
async def test_a_wrong_grant_is_refused(
    control: ClientSession, store: Store, body: dict[str, Any], path: str
) -> None:
    job = await ready(control, store)
    before = dump(store.settings.redis_url)
    code, problem = await post(control, job.id, "live-session/grant-write", body)
    assert (code, problem["code"], [each["path"] for each in problem["errors"]]) == (
        422, "validation_failed", [path],
    )  # fmt: skip
    assert dump(store.settings.redis_url) == before


async def test_a_grant_twice_and_without_a_time(control: ClientSession, store: Store) -> None:
    """L-11: the time is a setting; again, it lasts from then on."""
    job = await ready(control, store)
    code, first = await post(control, job.id, "live-session/grant-write", {"ttlMinutes": 240})
    code, second = await post(control, job.id, "live-session/grant-write")
    assert code == 200 and second["grantedUntil"] < first["grantedUntil"]
    _, listed = await get(control, job.id, "control-events")
    assert [each["metadataJson"] for each in listed["items"]] == [{"ttlMinutes": 240}, {"ttlMinutes": 15}]


@pytest.mark.parametrize("state", ["none", "starting", "error"])
async def test_a_grant_needs_a_session_that_is_ready(
    control: ClientSession, store: Store, state: str
) -> None:
    """70-25: 422, where other conflicts are 409."""
    job = await running(store)
    if state != "none":
        await reported(control, job, state, provider="browser", errorMessage="it broke")
    before = dump(store.settings.redis_url)
    code, problem = await post(control, job.id, "live-session/grant-write", {"ttlMinutes": 5})
    expected = (404, "live_session_not_found") if state == "none" else (422, "live_session_state_conflict")
    assert (code, problem["code"]) == expected
    assert dump(store.settings.redis_url) == before


async def test_what_is_refused_with_a_conflict(control: ClientSession, store: Store) -> None:
    job = await ready(control, store)
    cases = [
        (await post(control, job.id, "live-session", {"provider": "tmux"}), "live_session_state_conflict"),
        (await post(control, NOBODY, "live-session"), "job_not_found"),
        (await get(control, NOBODY), "job_not_found"),
        (await reported(control, structs.replace(job, lease_token="7")), "lease_lost"),
        (await reported(control, structs.replace(job, claimed_by="other")), "job_ownership_mismatch"),
    ]
    other = await given.running(store, "noop")
    cases.append((await post(control, other.id, "live-session"), "live_session_state_conflict"))
    await reported(control, job, "ended")
    cases.append((await post(control, job.id, "live-session/revoke"), "live_session_state_conflict"))
    await cancellation.cancel(store, job.id, actor="ann")
    cases.append((await post(control, job.id, "live-session"), "job_state_conflict"))
    store.settings = structs.replace(store.settings, live_session_enabled=False)
    cases.append((await post(control, job.id, "live-session"), "live_session_state_conflict"))
    assert [problem["code"] for (_, problem), _ in cases] == [code for _, code in cases]


@pytest.mark.parametrize(
    "ways",
    [
        {"webRo": "javascript:alert(1)"},
        {"webRo": "//elsewhere/x"},
        {"webRw": "/\\elsewhere/x"},
        {"webRw": "/\t/elsewhere/x"},
        {"attachRo": "ssh x\nrm -rf ~"},
        {"attachRw": "\x1b]0;x\x07"},
        {"attachRo": ""},
        {"expiresAt": "tomorrow"},
    ],
    ids=str,
)
async def test_a_way_in_is_one_that_can_be_shown(
    control: ClientSession, store: Store, ways: dict[str, str]
) -> None:
    """A worker on another machine is not believed: people copy its commands and follow its addresses."""
    job = await running(store)
    before = dump(store.settings.redis_url)
    code, problem = await reported(control, job, provider="tmate", **ways)
    assert (code, problem["code"], problem["errors"][0]["path"]) == (
        422,
        "validation_failed",
        next(iter(ways)),
    )
    assert dump(store.settings.redis_url) == before


async def test_a_heartbeat_of_the_session_alone(control: ClientSession, store: Store) -> None:
    """L-8."""
    job = await ready(control, store)
    await store.command("HSET", keys.job_live(job.id), "heard_at", "1")
    held = {"workerId": job.claimed_by, "leaseToken": job.lease_token}
    code, told = await post(control, job.id, "live-session/heartbeat", held)
    assert (code, told["session"]["lastHeartbeatAt"] > "2000") == (200, True)
    code, problem = await post(control, job.id, "live-session/heartbeat", {"workerId": job.claimed_by})
    assert (code, problem["errors"][0]["path"]) == (422, "leaseToken")


async def test_a_message_reaches_events_and_control_events(control: ClientSession, store: Store) -> None:
    """L-6, L-3."""
    job = await running(store)
    said = "use the new API,\nplease\x07"
    code, event = await post(control, job.id, "operator-messages", {"message": said})
    assert (code, event["action"], event["metadataJson"], event["taskRunId"]) == (
        201, "message", {"message": said}, job.id,
    )  # fmt: skip
    _, listed = await get(control, job.id, "control-events")
    assert listed["items"] == [event]
    told = (await events.page(store, job.id))[-1]
    assert told.payload == {
        "kind": "task.operator.message", "actorUserId": "local-operator", "message": said,
        "messageId": event["id"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        ({"message": ""}, 422, "validation_failed"),
        ({"message": " \n"}, 422, "validation_failed"),
        ({}, 422, "validation_failed"),
        ({"message": 1}, 422, "validation_failed"),
        ({"message": "x", "to": "agent"}, 422, "validation_failed"),
        ({"message": "ä" * 4097}, 413, "payload_too_large"),
    ],
    ids=lambda case: str(case)[:30],
)
async def test_a_wrong_message_is_refused(
    control: ClientSession, store: Store, body: dict[str, Any], code: int, word: str
) -> None:
    """L-6, 70-25."""
    job = await running(store)
    before = dump(store.settings.redis_url)
    status, problem = await post(control, job.id, "operator-messages", body)
    assert (status, problem["code"]) == (code, word)
    assert dump(store.settings.redis_url) == before
    assert (await post(control, job.id, "operator-messages", {"message": "ä" * 4096}))[0] == 201


async def test_a_message_needs_a_run_that_goes_on(control: ClientSession, store: Store) -> None:
    job = await running(store)
    await cancellation.cancel(store, job.id, actor="ann")
    code, problem = await post(control, job.id, "operator-messages", {"message": "x"})
    assert (code, problem["code"]) == (409, "job_state_conflict")
    assert (await post(control, NOBODY, "operator-messages", {"message": "x"}))[0] == 404


@pytest.fixture
async def guarded(control_settings: ControlSettings, store: Store) -> AsyncIterator[ClientSession]:
    """A control service that asks who is there."""
    settings = structs.replace(control_settings, auth="required")
    async with (
        serving(build(settings, store), "127.0.0.1", 0) as (host, port),
        ClientSession(f"http://{host}:{port}", timeout=ClientTimeout(total=10)) as session,
    ):
        yield session


async def test_a_viewer_looks_and_does_nothing(guarded: ClientSession, store: Store) -> None:
    """A grant, a revoke and a message are an operator's; a report is the worker's that holds the run."""
    job = await running(store)
    viewer = bearer((await operator_token(store, "viewer")).token)
    for what in ("live-session", "live-session/grant-write", "live-session/revoke"):
        code, problem = await post(guarded, job.id, what, {}, **viewer)
        assert (code, problem["code"]) == (403, "operator_not_authorized")
    code, problem = await post(guarded, job.id, "operator-messages", {"message": "x"}, **viewer)
    assert code == 403
    assert (await get(guarded, job.id, **viewer))[1]["code"] == "live_session_not_found"
    operator = bearer((await operator_token(store, "operator")).token)
    code, _ = await post(guarded, job.id, "live-session", {"provider": "tmux"}, **operator)
    assert code == 201
    body = {"workerId": "worker-9", "leaseToken": job.lease_token, "status": "ready"}
    theirs = {"X-Worker-Token": (await worker_token(store, "worker-9")).token}
    assert (await post(guarded, job.id, "live-session/report", body, **theirs))[0] == 409
    assert (await post(guarded, job.id, "live-session/report", body, **operator))[0] in (401, 403)
