"""How attempts end over HTTP (Q-7, Q-8, Q-14, 70-5, 70-8, spec 60-1 finish)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.queue_api.conftest import WORKER, Api

BODIES: dict[str, dict[str, Any]] = {
    "complete": {},
    "fail": {"errorMessage": "no", "retryable": False},
    "release": {},
    "cancel/ack": {},
}


async def test_complete(api: Api) -> None:
    job_id, held = await api.running()
    answer = await api.post(f"/jobs/{job_id}/complete", {**held, "resultSummary": "done\nwell"})
    assert (answer.status, answer.json["status"], answer.json["resultSummary"]) == (
        200, "succeeded", "done\nwell",
    )  # fmt: skip
    assert answer.json["claimedBy"] == WORKER
    assert answer.json["finishedAt"]
    assert "leaseExpiresAt" not in answer.json


async def test_a_retryable_failure_waits_and_comes_back(api: Api) -> None:
    """Q-7, 70-8: `attempt` is the next one; nextAttemptAt is cleared by the claim."""
    job_id, held = await api.running()
    job = (await api.post(f"/jobs/{job_id}/fail", {**held, "errorMessage": "no", "retryable": True})).json
    assert (job["status"], job["attempt"], job["errorMessage"]) == ("queued", 2, "no")
    assert job["nextAttemptAt"]
    assert "claimedBy" not in job
    again = (await api.claim(waitSeconds=5))["job"]
    assert (again["id"], again["attempt"]) == (job_id, 2)
    assert "nextAttemptAt" not in again


async def test_a_final_failure_and_a_dead_letter(api: Api) -> None:
    """Q-8"""
    job_id, held = await api.running()
    body = {**held, "errorMessage": "no", "retryable": False, "failureClass": "deterministic_policy"}
    job = (await api.post(f"/jobs/{job_id}/fail", body)).json
    assert (job["status"], job["failureClass"]) == ("failed", "deterministic_policy")
    job_id, held = await api.running(maxAttempts=1)
    job = (await api.post(f"/jobs/{job_id}/fail", {**held, "errorMessage": "no"})).json
    assert job["status"] == "dead_letter"


async def test_a_release_uses_no_attempt(api: Api) -> None:
    """Q-14, 70-8"""
    job_id, held = await api.running()
    job = (await api.post(f"/jobs/{job_id}/release", {**held, "reason": "shutdown"})).json
    assert (job["status"], job["attempt"], job["releases"]) == ("queued", 1, 1)
    assert "nextAttemptAt" not in job
    again = (await api.claim())["job"]
    assert again["id"] == job_id
    assert again["leaseToken"] != held["leaseToken"]


@pytest.mark.parametrize("verb", ["complete", "fail", "release"])
async def test_the_same_ending_again_gets_the_current_job(api: Api, verb: str) -> None:
    """70-5: the same token and verb is a 200; any other use of an old token is lease_lost."""
    job_id, held = await api.running()
    body = {**held, **BODIES[verb]}
    first = await api.post(f"/jobs/{job_id}/{verb}", body)
    again = await api.post(f"/jobs/{job_id}/{verb}", body)
    assert (again.status, again.json) == (200, first.json)
    for other in {"complete", "fail", "release", "cancel/ack"} - {verb}:
        answer = await api.post(f"/jobs/{job_id}/{other}", {**held, **BODIES[other]})
        assert (answer.status, answer.code) == (409, "lease_lost")


@pytest.mark.parametrize("verb", sorted(BODIES))
async def test_only_the_holder_may_end_a_job(api: Api, verb: str) -> None:
    job_id, held = await api.running()
    body = {**held, **BODIES[verb]}
    other = await api.post(f"/jobs/{job_id}/{verb}", {**body, "workerId": "worker-2"})
    assert (other.status, other.code) == (409, "job_ownership_mismatch")
    for token in ("7", "0", "-1", "nonsense", "1" * 60, "１"):
        stale = await api.post(f"/jobs/{job_id}/{verb}", {**body, "leaseToken": token})
        assert (stale.status, stale.code) == (409, "lease_lost"), token
    none = await api.post(f"/jobs/00000000-0000-7000-8000-000000000000/{verb}", body)
    assert (none.status, none.code) == (404, "job_not_found")
    assert (await api.get(f"/jobs/{job_id}")).json["status"] == "running"


async def test_many_endings_in_one_call(api: Api) -> None:
    """Spec 60-1: 207 with one item per attempt, in order, each judged by itself."""
    held = [await api.running(payload={"n": n}) for n in range(4)]
    tokens = [each[1]["leaseToken"] for each in held]
    failed = {"outcome": "fail", "errorMessage": "x", "retryable": False}
    jobs = [
        {"id": held[0][0], "leaseToken": tokens[0], "outcome": "release", "reason": "shutdown"},
        {"id": held[1][0], "leaseToken": tokens[1], "outcome": "complete", "resultSummary": "ok"},
        {"id": held[2][0], "leaseToken": "99", "outcome": "complete"},
        {"id": held[3][0], "leaseToken": tokens[3], **failed},
    ]  # fmt: skip
    answer = await api.post("/jobs/finish", {"workerId": WORKER, "jobs": jobs})
    assert answer.status == 207
    items = answer.json["items"]
    assert [(each["id"], each["status"]) for each in items] == [
        (held[0][0], 200), (held[1][0], 200), (held[2][0], 409), (held[3][0], 200),
    ]  # fmt: skip
    assert [each["job"]["status"] for each in items if "job" in each] == ["queued", "succeeded", "failed"]
    assert items[2]["error"]["code"] == "lease_lost"
    again = await api.post("/jobs/finish", {"workerId": WORKER, "jobs": jobs[1:2]})
    assert again.json["items"][0]["job"]["status"] == "succeeded"


async def test_finish_takes_a_hundred_and_names_wrong_entries(api: Api) -> None:
    entry = {"id": "00000000-0000-7000-8000-000000000000", "leaseToken": "1", "outcome": "complete"}
    call = {"workerId": WORKER, "jobs": [entry] * 100}
    assert {each["status"] for each in (await api.post("/jobs/finish", call)).json["items"]} == {404}
    assert (await api.post("/jobs/finish", {**call, "jobs": [entry] * 101})).paths == ["jobs"]
    wrong = [{**entry, "outcome": "explode"}, {**entry, "errorMessage": "x"}, {**entry, "id": "1"}]
    paths = (await api.post("/jobs/finish", {**call, "jobs": wrong})).paths
    assert paths == ["jobs[0].outcome", "jobs[1].errorMessage", "jobs[2].id"]


async def test_run_times_are_measured(api: Api) -> None:
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/complete", held)
    text = (await api.get("//metrics")).text
    assert 'sluicegate_job_run_seconds_count{status="succeeded"} 1.0' in text
