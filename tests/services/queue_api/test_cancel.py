"""Cancelling over HTTP (C-1 to C-5)."""

from __future__ import annotations

import pytest

from sluicegate.store import Store
from tests.services.queue_api.conftest import WORKER, Api
from tests.support.job_builder import JobBuilder


@pytest.mark.parametrize("fields", [{}, {"delaySeconds": 60}])
async def test_a_waiting_job_is_cancelled_at_once(api: Api, fields: dict[str, float]) -> None:
    """C-1"""
    job = await api.enqueue(**fields)
    answer = await api.post(f"/jobs/{job['id']}/cancel", {"reason": "wrong branch"})
    assert answer.status == 200
    cancelled = answer.json
    assert (cancelled["status"], cancelled["cancelReason"]) == ("cancelled", "wrong branch")
    assert cancelled["cancelRequestedByUserId"] == "local-operator"
    assert cancelled["finishedAt"]
    assert (await api.claim())["job"] is None


async def test_a_running_job_is_asked(api: Api) -> None:
    """C-2, C-3"""
    job_id, _ = await api.running()
    job = (await api.post(f"/jobs/{job_id}/cancel")).json
    assert (job["status"], "cancelReason" in job) == ("running", False)
    assert job["cancelRequestedAt"]
    assert (await api.get("/jobs?status=running")).json["items"] == [job]


async def test_asking_again_changes_nothing(api: Api) -> None:
    """C-4"""
    job_id, _ = await api.running()
    first = (await api.post(f"/jobs/{job_id}/cancel", {"reason": "one"})).json
    assert (await api.post(f"/jobs/{job_id}/cancel", {"reason": "two"})).json == first
    waiting = await api.enqueue()
    cancelled = (await api.post(f"/jobs/{waiting['id']}/cancel")).json
    assert (await api.post(f"/jobs/{waiting['id']}/cancel")).json == cancelled


async def test_an_ended_job_cannot_be_cancelled(api: Api) -> None:
    """C-4"""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/complete", held)
    answer = await api.post(f"/jobs/{job_id}/cancel")
    assert (answer.status, answer.code) == (409, "job_state_conflict")


async def test_the_holder_acknowledges(api: Api) -> None:
    """C-5: again by the same worker is a 200."""
    job_id, held = await api.running()
    early = await api.post(f"/jobs/{job_id}/cancel/ack", held)
    assert (early.status, early.code) == (409, "job_state_conflict")
    await api.post(f"/jobs/{job_id}/cancel")
    receipt = {"signals": [{"signal": "SIGINT", "processes": 2}], "survivors": []}
    body = {**held, "message": "stopped", "receipt": receipt}
    job = (await api.post(f"/jobs/{job_id}/cancel/ack", body)).json
    assert job["status"] == "cancelled"
    assert job["finishedAt"]
    assert "claimedBy" not in job
    assert "leaseExpiresAt" not in job
    assert (await api.post(f"/jobs/{job_id}/cancel/ack", body)).json == job
    other = await api.post(f"/jobs/{job_id}/cancel/ack", {**body, "workerId": "worker-2"})
    assert other.status == 409
    events = (await api.get(f"/jobs/{job_id}/events")).json["items"]
    assert events[-1]["payload"]["kind"] == "job.cancelled"
    assert events[-1]["payload"]["receipt"] == receipt
    assert [each["payload"]["kind"] for each in events] == [
        "job.enqueued", "job.claimed", "job.cancel.requested", "job.cancelled",
    ]  # fmt: skip


async def test_a_receipt_has_the_limit_of_an_event(api: Api) -> None:
    """Q-15: refused whole; the job goes on until its worker says it shorter."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/cancel")
    for body in ({"receipt": {"processes": ["x" * 33_000]}}, {"message": "x" * 32_760}):
        answer = await api.post(f"/jobs/{job_id}/cancel/ack", held | body)
        assert (answer.status, answer.code) == (413, "payload_too_large")
    assert (await api.get(f"/jobs/{job_id}")).json["status"] == "running"
    assert (await api.post(f"/jobs/{job_id}/cancel/ack", held)).json["status"] == "cancelled"


async def test_a_stale_job_is_ended_by_the_call(api: Api, store: Store) -> None:
    """C-2, C-4, 70-54: by the first request, or by a repeated one, over REST and as a tool."""
    make = JobBuilder(store)
    for asked_before in (False, True):
        for tool in (False, True):
            made = await (make.cancelling() if asked_before else make.running())
            await make.lease_over(made)
            if tool:
                call = {"tool": "queue.cancel", "arguments": {"jobId": made.job_id, "reason": "now"}}
                job = (await api.post("//mcp/tools/call", call)).json["result"]
            else:
                job = (await api.post(f"/jobs/{made.job_id}/cancel", {"reason": "now"})).json
            assert (job["status"], "claimedBy" in job) == ("cancelled", False)
            by = "someone" if asked_before else "local-operator"
            assert job["cancelRequestedByUserId"] == by
            last = (await api.get(f"/jobs/{made.job_id}/events?sort=desc&limit=1")).json["items"][0][
                "payload"
            ]
            assert (last["kind"], last["actorUserId"], last["reason"]) == (
                "job.cancelled", "local-operator", "now",
            )  # fmt: skip
            assert last["cancelRequestedAt"] == job["cancelRequestedAt"]


async def test_a_complete_before_the_worker_noticed_wins(api: Api) -> None:
    """C-6"""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/cancel")
    assert (await api.post(f"/jobs/{job_id}/complete", held)).json["status"] == "succeeded"
    kinds = [each["payload"]["kind"] for each in (await api.get(f"/jobs/{job_id}/events")).json["items"]]
    assert "job.cancel.too_late" in kinds


async def test_a_retryable_failure_after_a_request_is_cancelled(api: Api) -> None:
    """C-6"""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/cancel")
    assert held["workerId"] == WORKER
    body = {**held, "errorMessage": "no", "retryable": True}
    assert (await api.post(f"/jobs/{job_id}/fail", body)).json["status"] == "cancelled"
