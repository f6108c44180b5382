"""The calls that are there for workers on other machines, spoken as anybody's worker would speak them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from services.queue_api.app import build
from sluicegate.http import serving
from sluicegate.operations import credentials
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store, cancellation, controls, workers
from tests.services.queue_api.conftest import WORKER, Api
from tests.support.contents import contents
from tests.support.tokens import worker_token

ID = "01890000-0000-7000-8000-000000000000"
STEP = {
    "stepId": "step-1", "stepIndex": 0, "attempt": 1, "diffHash": "a", "treeHash": "b", "changedFiles": [],
    "summary": "did it", "finishedAt": "2026-01-31T12:00:00Z", "patchArtifact": "patches/step-1",
}  # fmt: skip
HERE = {
    "workerId": WORKER, "host": "here", "pid": 1, "version": "1", "capabilities": ["git"], "types": None,
    "slots": 2, "state": "idle", "jobs": [],
}  # fmt: skip
HELD = {"workerId": WORKER, "leaseToken": "1"}
FACT = {"name": "start_commit", "value": "abc"}
ANSWER = {"what": "recovery", "requestId": "1-1", "outcome": "rejected", "message": "it has ended"}
EVENT = {"id": ID, "leaseToken": "1", "message": "m"}
CALLS: list[tuple[str, dict[str, Any]]] = [
    (f"/jobs/{ID}/steps", {**HELD, "step": STEP}),
    (f"/jobs/{ID}/facts", {**HELD, **FACT}),
    (f"/jobs/{ID}/controls/answer", {**HELD, **ANSWER}),
    ("/jobs/events", {"workerId": WORKER, "events": [EVENT]}),
    (f"/jobs/{ID}/terminal", {**HELD, "pieces": [{"place": 0, "data": "eA=="}]}),
    ("/workers/presence", HERE),
    ("/workers/depart", {"workerId": WORKER}),
]


@pytest.fixture
async def closed(api_settings: QueueApiSettings, store: Store) -> AsyncIterator[Api]:
    app = build(msgspec.structs.replace(api_settings, auth="required"), store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{port}", session, app)


def by(token: str) -> dict[str, Any]:
    return {"headers": {"X-Worker-Token": token}}


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_they_need_a_worker_and_the_one_they_name(
    closed: Api, store: Store, path: str, body: dict[str, Any]
) -> None:
    """Q-1, Q-2."""
    mine = (await worker_token(store)).token
    before = await contents(store)
    answer = await closed.post(path, body)
    assert (answer.status, answer.code) == (401, "worker_auth_failed")
    answer = await closed.post(path, {**body, "workerId": "worker-2"}, **by(mine))
    assert (answer.status, answer.code) == (403, "worker_not_authorized")
    assert await contents(store) == before


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_wrong_fields_are_named(api: Api, path: str, body: dict[str, Any]) -> None:
    answer = await api.post(path, {**body, "nonsense": 1})
    assert answer.paths == ["nonsense"]
    answer = await api.post(path, {name: value for name, value in body.items() if name != "workerId"})
    assert answer.paths == ["workerId"]


async def test_a_worker_asks_who_it_is(api: Api, closed: Api, store: Store) -> None:
    """70-16: what its credential says; with auth disabled it is who it says."""
    assert (await api.get("/workers/me")).json["workerId"] is None
    narrow = await worker_token(store, allowed_job_types=["task"], capabilities=[])
    said = (await closed.get("/workers/me", **by(narrow.token))).json
    assert said == {
        "workerId": WORKER, "allowedJobTypes": ["task"], "allowedRepositories": None, "capabilities": [],
    }  # fmt: skip
    assert (await closed.get("/workers/me")).status == 401


async def test_steps_and_facts_are_the_lease_holders(api: Api, store: Store) -> None:
    """H-7, 70-5."""
    job_id, held = await api.running()
    assert (await api.post(f"/jobs/{job_id}/steps", {**held, "step": STEP})).json == {
        **STEP, "finishedAt": "2026-01-31T12:00:00Z",
    }  # fmt: skip
    assert (await api.post(f"/jobs/{job_id}/facts", {**held, **FACT})).json == FACT
    again = await api.post(f"/jobs/{job_id}/facts", {**held, **FACT, "value": "def"})
    assert again.json == FACT
    before = await contents(store)
    for path, body in (("steps", {"step": STEP}), ("facts", FACT)):
        stale = await api.post(f"/jobs/{job_id}/{path}", {**held, **body, "leaseToken": "7"})
        assert (stale.status, stale.code) == (409, "lease_lost")
        missing = await api.post(f"/jobs/{ID}/{path}", {**held, **body})
        assert (missing.status, missing.code) == (404, "job_not_found")
    assert await contents(store) == before
    assert (await api.get(f"/jobs/{job_id}/steps")).json == {"items": [STEP]}
    assert (await api.get(f"/jobs/{ID}/steps")).code == "job_not_found"
    odd = await api.post(f"/jobs/{job_id}/facts", {**held, **FACT, "name": "Start Commit"})
    assert odd.paths == ["name"]


async def test_what_an_operator_asked_is_answered_by_the_lease_holder(api: Api, store: Store) -> None:
    """H-10: the answer is the job, with what is asked of it from then on."""
    job_id, held = await api.running()
    asked = {"action": "retry_step", "stepId": "a", "requestedByUserId": "ann"}
    call = controls.Request(action="retry_step", actor="ann", recovery=asked, metadata={})
    await controls.request(store, job_id, call)
    beat = await api.post(f"/jobs/{job_id}/heartbeat", {**held, "leaseSeconds": 30})
    recovery = beat.json["payload"]["liveControl"]["recovery"]
    path, named = f"/jobs/{job_id}/controls/answer", {**ANSWER, "requestId": recovery["id"]}
    before = await contents(store)
    for body, code in (
        ({**held, **named, "leaseToken": "7"}, "lease_lost"),
        ({**held, **named, "outcome": "perhaps"}, "validation_failed"),
        ({**held, **named, "what": "summary"}, "validation_failed"),
    ):
        assert (await api.post(path, body)).code == code
    assert await contents(store) == before
    for _ in range(2):
        answer = await api.post(path, {**held, **named})
        assert (answer.status, answer.json["id"]) == (200, job_id)
        assert "recovery" not in answer.json["payload"]["liveControl"]
    told = (await api.get(f"/jobs/{job_id}/events")).json["items"][-1]["payload"]
    assert told == {
        "kind": "task.control.recovery.rejected", "workerId": WORKER, "message": "it has ended", **asked,
    }  # fmt: skip


async def test_jobs_outside_the_policy_are_not_touched(closed: Api, api: Api, store: Store) -> None:
    """Q-3: a lease that another credential of the same worker opened does not help."""
    job_id, held = await api.running()
    narrow = await worker_token(store, allowed_job_types=["other"])
    before = await contents(store)
    for path, body in (("steps", {"step": STEP}), ("facts", FACT)):
        answer = await closed.post(f"/jobs/{job_id}/{path}", {**held, **body}, **by(narrow.token))
        assert (answer.status, answer.code) == (403, "job_not_authorized")
    assert (await closed.get(f"/jobs/{job_id}/steps", **by(narrow.token))).code == "job_not_authorized"
    event = {"id": job_id, "leaseToken": held["leaseToken"], "message": "m"}
    many = await closed.post("/jobs/events", {"workerId": WORKER, "events": [event]}, **by(narrow.token))
    assert (many.status, many.json["items"][0]["error"]["code"]) == (207, "job_not_authorized")
    assert await contents(store) == before


async def test_events_of_many_jobs_are_answered_one_by_one(api: Api) -> None:
    """70-49: in order, each with its status."""
    job_id, held = await api.running()
    good = {"id": job_id, "leaseToken": held["leaseToken"], "message": "one", "level": "warn"}
    answer = await api.post("/jobs/events", {"workerId": WORKER, "events": [good, EVENT, good]})
    assert answer.status == 207
    assert [item["status"] for item in answer.json["items"]] == [201, 404, 201]
    told = (await api.get(f"/jobs/{job_id}/events")).json["items"]
    assert [event["id"] for event in told[-2:]] == [
        item["eventId"] for item in answer.json["items"] if item["status"] == 201
    ]
    huge = {**good, "payload": {"text": "x" * 40_000}}
    refused = await api.post("/jobs/events", {"workerId": WORKER, "events": [good, huge]})
    assert (refused.status, refused.code) == (413, "payload_too_large")
    assert len((await api.get(f"/jobs/{job_id}/events")).json["items"]) == len(told)


async def test_presence_is_seen_and_ends(api: Api, store: Store) -> None:
    """70-46: whatever a worker says, it came over HTTP; how long a step is silent is kept like all else."""
    most = {"mostRanSeconds": 900.0, "mostSilentSeconds": 300.0}
    clocks = {"jobId": ID, "ranSeconds": 95.5, "silentSeconds": 40.0, **most}
    said = await api.post("/workers/presence", {**HERE, "clocks": [clocks]})
    assert (said.json["transport"], said.json["clocks"]) == ("http", [clocks])
    assert (await workers.listing(store))[0].silent_jobs == [ID]
    for wrong in ({**clocks, "silentSeconds": -1}, {**clocks, "idle": 1}):
        assert (await api.post("/workers/presence", {**HERE, "clocks": [wrong]})).status == 422
    assert [each.worker_id for each in await workers.listing(store)] == [WORKER]
    for _ in range(2):
        assert (await api.post("/workers/depart", {"workerId": WORKER})).json == {"workerId": WORKER}
    assert await workers.listing(store) == []


async def test_the_stream_of_a_revoked_token_ends(closed: Api, api: Api, store: Store) -> None:
    """Q-2, C-10: its own jobs' cancels come, another's do not; with the next keepalive it is over."""
    job_id, _ = await api.running()
    other, _ = await api.running("worker-2")
    token = await worker_token(store)
    path = f"{closed.url}/api/queue/workers/controls"
    heard: list[dict[str, Any]] = []
    async with closed.session.get(path, params={"workerId": "worker-2"}, **by(token.token)) as refused:
        assert refused.status == 403
    async with closed.session.get(path, params={"workerId": WORKER}, **by(token.token)) as stream:
        assert stream.status == 200
        async for line in stream.content:
            if not line.startswith(b"data: "):
                continue
            heard.append(json.loads(line.removeprefix(b"data: ")))
            if len(heard) == 1:
                await cancellation.cancel(store, other, actor="someone")
                await cancellation.cancel(store, job_id, actor="someone")
            else:
                await credentials.revoke(store, "worker", token.worker_token.id, actor="admin")
    assert [control["kind"] for control in heard] == ["pause", "cancel"]
    assert heard[0]["system"]["workersPaused"] is False
    assert (heard[1]["jobId"], heard[1]["leaseToken"]) == (job_id, "1")


async def test_a_revoked_token_reads_no_history_on(closed: Api, api: Api, store: Store) -> None:
    """Q-2: the stream of a job's events is over with the next keepalive."""
    job_id, _ = await api.running()
    token = await worker_token(store)
    path = f"{closed.url}/api/queue/jobs/{job_id}/events/stream"
    async with closed.session.get(path, **by(token.token)) as stream:
        assert stream.status == 200
        await credentials.revoke(store, "worker", token.worker_token.id, actor="admin")
        assert b"event: end" not in await stream.read()
