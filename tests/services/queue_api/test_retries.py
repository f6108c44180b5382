"""Running again what has ended without success, over HTTP (70-11)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import uuid_utils

from sluicegate.operations import retries
from sluicegate.store.connection import Store
from tests.services.queue_api.conftest import Api
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

BODY = {
    "type": "echo",
    "payload": {"repository": "acme/a", "empty": [], "large": 12345678901234567},
    "priority": 7,
    "requiredCapabilities": ["git"],
    "affinityKey": "k",
    "maxAttempts": 2,
    "maxRunSeconds": 60.0,
}


async def failed(api: Api, **fields: Any) -> dict[str, Any]:
    """A job that failed for good."""
    await api.enqueue(**fields)
    capabilities = fields.get("requiredCapabilities", [])
    job = (await api.claim(workerCapabilities=capabilities))["job"]
    held = {"workerId": "worker-1", "leaseToken": job["leaseToken"]}
    answer = await api.post(f"/jobs/{job['id']}/fail", {**held, "errorMessage": "no use", "retryable": False})
    return dict(answer.json)


async def dead(api: Api, **fields: Any) -> dict[str, Any]:
    """A dead letter."""
    job_id, held = await api.running(maxAttempts=1, **fields)
    answer = await api.post(
        f"/jobs/{job_id}/fail", {**held, "errorMessage": "broken", "failureClass": "flaky"}
    )
    assert answer.json["status"] == "dead_letter"
    return dict(answer.json)


async def test_a_failed_job_runs_again_as_a_new_one(api: Api) -> None:
    """70-11: the same body, `retryOf`, 201; the first one stays as it is."""
    first = await failed(api, **BODY)
    answer = await api.post(f"/jobs/{first['id']}/retry", {"reason": "repaired"})
    assert answer.status == 201, answer.text
    again = answer.json
    assert again["id"] != first["id"]
    assert (again["retryOf"], again["status"], again["attempt"]) == (first["id"], "queued", 1)
    assert {name: again[name] for name in BODY} == BODY
    assert again["repository"] == first["repository"]
    assert (await api.get(f"/jobs/{first['id']}")).json == first
    claimed = (await api.claim(workerCapabilities=["git"]))["job"]
    assert (claimed["id"], claimed["payload"]) == (again["id"], BODY["payload"])


async def test_a_cancelled_job_runs_again_as_a_new_one(api: Api) -> None:
    """70-11, with no body at all."""
    first = await api.enqueue()
    await api.post(f"/jobs/{first['id']}/cancel")
    answer = await api.post(f"/jobs/{first['id']}/retry")
    assert (answer.status, answer.json["retryOf"]) == (201, first["id"])
    assert "cancelRequestedAt" not in answer.json


async def test_repeating_a_retry_gives_the_same_job(api: Api) -> None:
    """A lost answer may be asked for again, also when the retry has ended by then: one retry per job."""
    first = await failed(api)
    again = (await api.post(f"/jobs/{first['id']}/retry")).json
    for _ in range(2):
        answer = await api.post(f"/jobs/{first['id']}/retry", {"reason": "another"})
        assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, "true")
        assert answer.json["id"] == again["id"]
        await api.post(f"/jobs/{again['id']}/cancel")
    third = await api.post(f"/jobs/{again['id']}/retry")
    assert (third.status, third.json["retryOf"]) == (201, again["id"])
    assert len({first["id"], again["id"], third.json["id"]}) == 3


async def test_a_retry_by_somebody_else_is_the_same_retry(api: Api, store: Store) -> None:
    first = await failed(api)
    mine = await retries.retry(store, first["id"], actor="ann")
    theirs = await retries.retry(store, first["id"], actor="bob")
    assert (mine.created, theirs.created, theirs.job.id) == (True, False, mine.job.id)
    assert theirs.job.created_by_user_id == "ann"


async def test_a_retry_waits_for_the_day_of_the_first_one(api: Api, store: Store) -> None:
    """Cancelled before its time, it is not due before it; after its time, at once."""
    early = await api.enqueue(delaySeconds=3600)
    await api.post(f"/jobs/{early['id']}/cancel")
    again = (await api.post(f"/jobs/{early['id']}/retry")).json
    assert again["nextAttemptAt"] == early["nextAttemptAt"]
    late = await api.enqueue(delaySeconds=0.001)
    job = None

    async def claimed() -> bool:
        nonlocal job
        job = (await api.claim())["job"]
        return job is not None

    await until(claimed, "the delayed job is claimable")
    assert job is not None and job["id"] == late["id"]
    await api.post(
        f"/jobs/{late['id']}/fail",
        {"workerId": "worker-1", "leaseToken": job["leaseToken"], "errorMessage": "x", "retryable": False},
    )
    assert "nextAttemptAt" not in (await api.post(f"/jobs/{late['id']}/retry")).json


async def test_a_dead_letter_is_redriven(api: Api) -> None:
    """70-11, 70-49: 200, attempt 1, history kept; repeated, the same answer while it lives."""
    letter = await dead(api)
    answer = await api.post(f"/jobs/{letter['id']}/retry", {"reason": "repaired"})
    assert (answer.status, answer.json["id"]) == (200, letter["id"])
    assert (answer.json["status"], answer.json["attempt"]) == ("queued", 1)
    assert "Idempotency-Replayed" not in answer.headers
    repeated = await api.post(f"/jobs/{letter['id']}/retry")
    assert (repeated.status, repeated.headers["Idempotency-Replayed"]) == (200, "true")
    assert repeated.json == answer.json
    kinds = [
        each["payload"]["kind"] for each in (await api.get(f"/jobs/{letter['id']}/events")).json["items"]
    ]
    assert kinds == ["job.enqueued", "job.claimed", "job.dead_lettered", "job.redriven"]


@pytest.mark.parametrize("state", ["waiting", "delayed", "running", "stale", "succeeded"])
async def test_what_has_not_failed_is_not_retried(api: Api, store: Store, state: str) -> None:
    """70-11"""
    made = await JobBuilder(store).made(state)
    answer = await api.post(f"/jobs/{made.job_id}/retry")
    assert (answer.status, answer.code) == (409, "job_state_conflict")


async def test_a_retry_of_nothing(api: Api) -> None:
    for job_id in (str(uuid_utils.uuid7()), "7"):
        answer = await api.post(f"/jobs/{job_id}/retry")
        assert (answer.status, answer.code) == (404, "job_not_found")


async def test_a_wrong_body(api: Api) -> None:
    first = await failed(api)
    path = f"/jobs/{first['id']}/retry"
    assert (await api.post(path, {"raeson": "x"})).paths == ["raeson"]
    assert (await api.post(path, data=b"{", headers={"Content-Type": "application/json"})).status == 400
    assert (await api.post(path, data=b"x", headers={"Content-Type": "text/plain"})).status == 415


async def test_a_full_queue_takes_no_retry(api: Api, store: Store) -> None:
    """Q-17: it is an enqueue like any other."""
    first = await failed(api)
    await api.enqueue()
    store.settings = msgspec.structs.replace(store.settings, max_queued=1)
    answer = await api.post(f"/jobs/{first['id']}/retry")
    assert (answer.status, answer.code) == (429, "queue_full")


async def test_a_body_that_is_no_longer_allowed_is_named(api: Api, store: Store) -> None:
    first = await failed(api, payload={"text": "x" * 200})
    store.settings = msgspec.structs.replace(store.settings, max_payload_bytes=100)
    answer = await api.post(f"/jobs/{first['id']}/retry")
    assert (answer.status, answer.code) == (413, "payload_too_large")


async def test_an_id_that_somebody_else_took_is_a_conflict(api: Api) -> None:
    """Nobody can put a job of their own in the place of a retry."""
    first = await failed(api)
    await api.enqueue(id=retries.retry_id(first["id"]))
    answer = await api.post(f"/jobs/{first['id']}/retry")
    assert (answer.status, answer.code) == (409, "idempotency_conflict")


async def test_many_are_retried(api: Api) -> None:
    """70-10, 70-49: each as by itself; a filter takes each failure once, however often it is applied."""
    first = await failed(api)
    letter = await dead(api)
    cancelled = await api.enqueue()
    await api.post(f"/jobs/{cancelled['id']}/cancel")
    succeeded, held = await api.running()
    await api.post(f"/jobs/{succeeded}/complete", held)
    dry = await api.post("/jobs/retry", {"filter": {"type": "echo"}, "dryRun": True})
    assert dry.json == {"matched": 3, "changed": 0, "dryRun": True, "items": []}
    done = (await api.post("/jobs/retry", {"filter": {"type": "echo"}})).json
    assert (done["matched"], done["changed"], done["dryRun"]) == (3, 3, False)
    items = {item["id"]: item for item in done["items"]}
    assert items.keys() == {first["id"], letter["id"], cancelled["id"]}
    assert items[letter["id"]] == {"id": letter["id"], "status": 200}
    assert items[first["id"]]["status"] == 201
    again = (await api.get(f"/jobs/{items[first['id']]['retryId']}")).json
    assert again["retryOf"] == first["id"]
    assert (await api.post("/jobs/retry", {"filter": {"type": "echo"}})).json["matched"] == 0
    named = (await api.post("/jobs/retry", {"ids": [first["id"], succeeded]})).json
    assert (named["matched"], named["changed"]) == (0, 0)
    assert named["items"][0] == {"id": first["id"], "status": 200, "retryId": again["id"]}
    assert named["items"][1]["error"]["code"] == "job_state_conflict"
