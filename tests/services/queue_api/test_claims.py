"""Claims and heartbeats over HTTP (Q-4, Q-12, Q-16, 70-1, 70-4, 70-9)."""

from __future__ import annotations

from tests.services.queue_api.conftest import WORKER, Api

SYSTEM = {
    "workersPaused", "mode", "reason", "requestedByUserId", "requestedAt", "updatedAt", "until", "version",
}  # fmt: skip


async def test_nothing_to_do_is_a_reply_without_a_job(api: Api) -> None:
    reply = await api.claim()
    assert (reply["job"], reply["jobs"]) == (None, [])
    assert set(reply["system"]) == SYSTEM
    assert reply["system"]["workersPaused"] is False


async def test_a_claim_opens_an_attempt_under_a_lease(api: Api) -> None:
    made = await api.enqueue(payload={"n": 1})
    reply = await api.claim(leaseSeconds=2.5)
    job = reply["job"]
    assert reply["jobs"] == [job]
    assert (job["id"], job["status"], job["claimedBy"], job["attempt"]) == (made["id"], "running", WORKER, 1)
    assert isinstance(job["leaseToken"], str)
    assert job["leaseExpiresAt"] > job["startedAt"]
    shown = (await api.get(f"/jobs/{job['id']}")).json
    assert shown["status"] == "running"
    assert "leaseToken" not in shown


async def test_highest_priority_then_longest_waiting(api: Api) -> None:
    """Q-12, also when one call claims many."""
    low = await api.enqueue(priority=-1)
    first = await api.enqueue(type="a")
    high = await api.enqueue(priority=1)
    jobs = (await api.claim(maxJobs=5))["jobs"]
    assert [each["id"] for each in jobs] == [high["id"], first["id"], low["id"]]


async def test_only_what_the_worker_asked_for_and_can_do(api: Api) -> None:
    """Q-4; an empty list of types is none."""
    needy = await api.enqueue(requiredCapabilities=["git", "shell"])
    other = await api.enqueue(type="other")
    assert (await api.claim(allowedTypes=[]))["job"] is None
    assert (await api.claim(allowedTypes=["echo"]))["job"] is None
    assert (await api.claim(allowedTypes=["echo"], workerCapabilities=["git"]))["job"] is None
    able = await api.claim(allowedTypes=["echo"], workerCapabilities=["shell", "git", "x"])
    assert able["job"]["id"] == needy["id"]
    assert (await api.claim())["job"]["id"] == other["id"]


async def test_a_repeated_request_gets_the_same_jobs(api: Api) -> None:
    """Q-16: a lost reply loses nothing."""
    for n in range(3):
        await api.enqueue(payload={"n": n})
    first = await api.claim(maxJobs=2, requestId="r1")
    again = await api.claim(maxJobs=2, requestId="r1")
    assert [(each["id"], each["leaseToken"]) for each in again["jobs"]] == [
        (each["id"], each["leaseToken"]) for each in first["jobs"]
    ]
    assert len((await api.claim(maxJobs=2, requestId="r2"))["jobs"]) == 1


async def test_a_heartbeat_extends_the_lease(api: Api) -> None:
    """70-1: the job flat, with `system` beside its fields."""
    job_id, held = await api.running()
    before = (await api.get(f"/jobs/{job_id}")).json["leaseExpiresAt"]
    answer = await api.post(f"/jobs/{job_id}/heartbeat", {**held, "leaseSeconds": 3600})
    assert answer.status == 200
    assert answer.json["leaseExpiresAt"] > before
    assert answer.json["leaseToken"] == held["leaseToken"]
    assert set(answer.json["system"]) == SYSTEM


async def test_a_heartbeat_carries_the_cancel_request(api: Api) -> None:
    """C-10: a worker that missed the push learns it here."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/cancel", {"reason": "enough"})
    job = (await api.post(f"/jobs/{job_id}/heartbeat", {**held, "leaseSeconds": 30})).json
    assert (job["cancelReason"], job["cancelRequestedByUserId"]) == ("enough", "local-operator")
    assert job["cancelRequestedAt"]


async def test_many_heartbeats_in_one_call(api: Api) -> None:
    """70-9, 70-49: 200, one item per job."""
    one, held_one = await api.running()
    two, held_two = await api.running("worker-2")
    gone = "00000000-0000-7000-8000-000000000000"
    answer = await api.post(
        "/jobs/heartbeat",
        {
            "workerId": WORKER,
            "leaseSeconds": 30,
            "jobs": [
                {"id": one, "leaseToken": held_one["leaseToken"]},
                {"id": two, "leaseToken": held_two["leaseToken"]},
                {"id": one, "leaseToken": "77"},
                {"id": one, "leaseToken": "nonsense"},
                {"id": gone, "leaseToken": "1"},
            ],
        },
    )
    assert answer.status == 200
    assert set(answer.json) == {"items", "system"}
    assert set(answer.json["system"]) == SYSTEM
    items = answer.json["items"]
    assert [(each["id"], each["status"]) for each in items] == [
        (one, 200), (two, 409), (one, 409), (one, 409), (gone, 404),
    ]  # fmt: skip
    assert items[0]["job"]["leaseToken"] == held_one["leaseToken"]
    assert [each["error"]["code"] for each in items[1:]] == [
        "job_ownership_mismatch", "lease_lost", "lease_lost", "job_not_found",
    ]  # fmt: skip


async def test_claims_are_counted(api: Api) -> None:
    await api.enqueue()
    await api.claim()
    await api.claim()
    text = (await api.get("//metrics")).text
    assert 'sluicegate_claims_total{result="jobs"} 1.0' in text
    assert 'sluicegate_claims_total{result="empty"} 1.0' in text
    assert "sluicegate_claim_seconds_count 2.0" in text
    assert "sluicegate_job_wait_seconds_count 1.0" in text
