"""Enqueueing over HTTP: one, many, repeated (Q-13, Q-17, 70-6, 70-9)."""

from __future__ import annotations

import asyncio

import msgspec
import uuid_utils

from services.queue_api.app import build
from sluicegate.http import serving
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store
from tests.services.queue_api.conftest import Api


async def test_a_new_job_is_created_and_shown(api: Api) -> None:
    answer = await api.post(
        "/jobs",
        {
            "type": "echo",
            "payload": {"repository": "Acme/A", "n": 12345678901234567890, "empty": []},
            "priority": 5,
            "requiredCapabilities": ["git"],
            "affinityKey": "k",
            "maxAttempts": 2,
            "maxRunSeconds": 1.5,
        },
    )
    assert answer.status == 201
    assert "Idempotency-Replayed" not in answer.headers
    job = answer.json
    assert job == {
        "id": job["id"],
        "type": "echo",
        "status": "queued",
        "priority": 5,
        "payload": {"repository": "Acme/A", "n": 12345678901234567890, "empty": []},
        "repository": "github.com/acme/a",
        "requiredCapabilities": ["git"],
        "affinityKey": "k",
        "attempt": 1,
        "maxAttempts": 2,
        "releases": 0,
        "maxRunSeconds": 1.5,
        "createdAt": job["createdAt"],
        "updatedAt": job["createdAt"],
        "createdByUserId": "local-operator",
    }
    assert (await api.get(f"/jobs/{job['id']}")).json == job


async def test_a_delayed_job_shows_when_it_is_due(api: Api) -> None:
    job = await api.enqueue(delaySeconds=60)
    assert job["status"] == "queued"
    assert job["nextAttemptAt"] > job["createdAt"]
    due = "2126-01-01T00:00:00.000Z"
    assert (await api.post("/jobs", {"type": "echo", "notBefore": due})).paths == ["notBefore"]


async def test_a_key_returns_the_first_job(api: Api) -> None:
    """70-6: 201, then 200 with Idempotency-Replayed; bodies are compared as canonical JSON."""
    first = await api.post("/jobs", {"type": "echo", "payload": {"a": 1, "b": 2}, "idempotencyKey": "k"})
    assert first.status == 201
    body = {"payload": {"b": 2, "a": 1}, "type": "echo"}
    again = await api.post("/jobs", body, headers={"Idempotency-Key": "k"})
    assert (again.status, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.json == first.json
    assert len((await api.get("/jobs")).json["items"]) == 1


async def test_a_key_with_another_body_is_a_conflict(api: Api) -> None:
    first = await api.enqueue(idempotencyKey="k")
    answer = await api.post("/jobs", {"type": "echo", "priority": 1, "idempotencyKey": "k"})
    assert (answer.status, answer.code) == (409, "idempotency_conflict")
    assert answer.json["jobId"] == first["id"]


async def test_header_and_field_that_differ_are_refused(api: Api) -> None:
    body = {"type": "echo", "idempotencyKey": "a"}
    assert (await api.post("/jobs", body, headers={"Idempotency-Key": "b"})).paths == ["idempotencyKey"]
    assert (await api.post("/jobs", body, headers={"Idempotency-Key": "a"})).status == 201


async def test_many_requests_with_one_key_make_one_job(api: Api) -> None:
    body = {"type": "echo", "idempotencyKey": "k"}
    answers = await asyncio.gather(*(api.post("/jobs", body) for _ in range(20)))
    assert sorted(each.status for each in answers) == [200] * 19 + [201]
    assert len({each.json["id"] for each in answers}) == 1


async def test_a_client_made_id_makes_a_repeat_safe(api: Api) -> None:
    job_id = str(uuid_utils.uuid7())
    body = {"id": job_id, "type": "echo", "payload": {"a": 1, "b": 2}}
    assert (await api.post("/jobs", body)).status == 201
    again = await api.post("/jobs", {"type": "echo", "payload": {"b": 2, "a": 1}, "id": job_id})
    assert (again.status, again.json["id"]) == (200, job_id)
    other = await api.post("/jobs", {**body, "payload": {}})
    assert (other.status, other.code) == (409, "idempotency_conflict")


async def test_the_state_of_the_first_job_is_shown_on_replay(api: Api) -> None:
    body = {"type": "echo", "idempotencyKey": "k"}
    await api.post("/jobs", body)
    await api.claim()
    assert (await api.post("/jobs", body)).json["status"] == "running"


async def test_a_batch_reports_per_job(api: Api) -> None:
    """70-9: in order, not atomic, a key per job."""
    await api.enqueue(idempotencyKey="known")
    jobs = [
        {"type": "echo", "payload": {"n": 0}},
        {"type": "Echo"},
        {"type": "echo", "idempotencyKey": "known"},
        {"type": "echo", "idempotencyKey": "known", "priority": 1},
        "no job",
        {"type": "echo", "payload": {"x": "y" * 300_000}},
        {"type": "echo", "payload": {"n": 6}},
    ]
    answer = await api.post("/jobs/batch", {"jobs": jobs})
    assert answer.status == 207
    items = answer.json["items"]
    assert [each["index"] for each in items] == list(range(7))
    assert [each["status"] for each in items] == [201, 422, 200, 409, 422, 413, 201]
    assert [each["job"]["payload"].get("n") for each in items if each["status"] == 201] == [0, 6]
    assert items[1]["error"]["code"] == "validation_failed"
    assert items[1]["error"]["errors"][0]["path"] == "type"
    assert items[3]["error"]["code"] == "idempotency_conflict"
    assert items[5]["error"]["code"] == "payload_too_large"
    assert all(("job" in each) != ("error" in each) for each in items)


async def test_a_batch_takes_a_thousand_jobs_and_no_more(api: Api) -> None:
    jobs = [{"type": "echo", "payload": {"n": n}} for n in range(1_001)]
    assert (await api.post("/jobs/batch", {"jobs": jobs})).paths == ["jobs"]
    answer = await api.post("/jobs/batch", {"jobs": jobs[:1_000]})
    assert {each["status"] for each in answer.json["items"]} == {201}
    assert [each["job"]["payload"]["n"] for each in answer.json["items"]] == list(range(1_000))
    assert (await api.post("/jobs/batch", {"jobs": []})).json == {"items": []}


async def test_a_full_queue_asks_to_come_back(api_settings: QueueApiSettings, store: Store) -> None:
    """Q-17: 429 with Retry-After; what is queued and running goes on."""
    small = msgspec.structs.replace(api_settings, max_queued=1)
    store.settings = small
    app = build(small, store)
    import aiohttp

    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        api = Api(f"http://{host}:{port}", session, app)
        job_id, held = await api.running()
        await api.enqueue()
        full = await api.post("/jobs", {"type": "echo"})
        assert (full.status, full.code, full.headers["Retry-After"]) == (429, "queue_full", "1")
        batch = await api.post("/jobs/batch", {"jobs": [{"type": "echo"}]})
        assert [each["error"]["code"] for each in batch.json["items"]] == ["queue_full"]
        assert (await api.post(f"/jobs/{job_id}/complete", held)).status == 200


async def test_a_job_is_of_the_trace_that_its_request_brings(api: Api) -> None:
    """Alone, in a batch, and by a tool; what is malformed is ignored, never an error."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"traceparent": parent, "tracestate": "a=1"}
    body = {"type": "echo"}
    one = await api.post("/jobs", body, headers=headers)
    many = await api.post("/jobs/batch", {"jobs": [body, body]}, headers=headers)
    tool = {"tool": "queue.enqueue", "arguments": body}
    told = await api.post("//mcp/tools/call", tool, headers=headers)
    found = [one.json, *(item["job"] for item in many.json["items"]), told.json["result"]]
    assert [(job["traceparent"], job["tracestate"]) for job in found] == [(parent, "a=1")] * 4
    for job in found:
        assert (await api.get(f"/jobs/{job['id']}")).json == job
    malformed = await api.post("/jobs", body, headers={"traceparent": parent + "0" * 5000})
    assert (malformed.status, "traceparent" in malformed.json) == (201, False)
