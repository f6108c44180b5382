"""What is refused leaves the store as it was, byte for byte (spec 00-5, 70-1, 70-3, 70-7, 70-42)."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import pytest

from tests.services.queue_api.conftest import WORKER, Api
from tests.support.dump import dump

NO_JOB = "00000000-0000-7000-8000-000000000000"
HELD = {"workerId": WORKER, "leaseToken": "1"}


class Refused(NamedTuple):
    """`{id}` in the path is a running job of another worker."""

    path: str
    body: Any
    status: int
    code: str
    wrong: list[str] | None = None


def invalid(path: str, body: Any, *wrong: str) -> Refused:
    return Refused(path, body, 422, "validation_failed", list(wrong))


def job(*wrong: str, **fields: Any) -> Refused:
    return invalid("/jobs", {"type": "echo", **fields}, *wrong)


def claim(*wrong: str, **fields: Any) -> Refused:
    return invalid("/jobs/claim", {"workerId": WORKER, "leaseSeconds": 30, **fields}, *wrong)


REFUSALS = [
    invalid("/jobs", {}, "type"),
    invalid("/jobs", [], ""),
    job("type", type="Echo"),
    job("type", type="x" * 65),
    job("prio", prio=1),
    job("status", status="running"),
    job("id", id="0190a5d-1"),
    job("id", id="01890A5D-AC96-774B-BCCE-B302099A8057"),
    job("priority", priority=1001),
    job("priority", priority=-1001),
    job("priority", priority=0.5),
    job("payload", payload="text"),
    job("payload.liveControl", payload={"liveControl": {}}),
    job("payload.repository", payload={"repository": "not one"}),
    job("payload.requiredCapabilities[0]", payload={"requiredCapabilities": [""]}),
    job("requiredCapabilities[1]", requiredCapabilities=["a", 1]),
    job("requiredCapabilities", requiredCapabilities=["c"] * 101),
    job("affinityKey", affinityKey=""),
    job("affinityKey", affinityKey="a\nb"),
    job("affinityKey", affinityKey="x" * 129),
    job("maxAttempts", maxAttempts=0),
    job("maxAttempts", maxAttempts=21),
    job("maxRunSeconds", maxRunSeconds=0),
    job("delaySeconds", delaySeconds=-1),
    job("notBefore", notBefore="soon"),
    job("notBefore", notBefore="2026-01-01T00:00:00Z", delaySeconds=1),
    job("idempotencyKey", idempotencyKey=""),
    job("idempotencyKey", idempotencyKey="k", id="01890a5d-ac96-774b-bcce-b302099a8057"),
    job("payload.task", type="task", payload={"repository": "acme/a", "targetRuntime": "shell"}),
    Refused("/jobs", {"type": "echo", "payload": {"x": "y" * 263_000}}, 413, "payload_too_large"),
    invalid("/jobs/batch", {}, "jobs"),
    invalid("/jobs/batch", {"jobs": {}}, "jobs"),
    invalid("/jobs/claim", {}, "workerId", "leaseSeconds"),
    claim("workerId", workerId=""),
    claim("workerId", workerId="a\tb"),
    claim("leaseSeconds", leaseSeconds=0.5),
    claim("leaseSeconds", leaseSeconds=3601),
    claim("leaseSeconds", leaseSeconds="30"),
    claim("waitSeconds", waitSeconds=31),
    claim("waitSeconds", waitSeconds=-1),
    claim("maxJobs", maxJobs=0),
    claim("maxJobs", maxJobs=101),
    claim("maxJobs", maxJobs=1.5),
    claim("allowedTypes[0]", allowedTypes=["No"]),
    claim("workerCapabilities", workerCapabilities="git"),
    claim("requestId", requestId=""),
    claim("wait", wait=1),
    invalid("/jobs/{id}/heartbeat", {}, "workerId", "leaseToken", "leaseSeconds"),
    invalid("/jobs/{id}/heartbeat", {**HELD, "leaseSeconds": 0}, "leaseSeconds"),
    invalid("/jobs/{id}/heartbeat", {**HELD, "leaseToken": 1, "leaseSeconds": 5}, "leaseToken"),
    invalid("/jobs/heartbeat", {"workerId": WORKER, "leaseSeconds": 5}, "jobs"),
    invalid(
        "/jobs/heartbeat",
        {"workerId": WORKER, "leaseSeconds": 5, "jobs": [{"id": NO_JOB}]},
        "jobs[0].leaseToken",
    ),
    invalid(
        "/jobs/heartbeat",
        {"workerId": WORKER, "leaseSeconds": 5, "jobs": [{"id": "x:events", "leaseToken": "1"}]},
        "jobs[0].id",
    ),
    invalid("/jobs/{id}/complete", {"workerId": WORKER}, "leaseToken"),
    invalid("/jobs/{id}/complete", {**HELD, "result": 1}, "result"),
    invalid("/jobs/{id}/complete", {**HELD, "resultSummary": "x" * 40_000}, "resultSummary"),
    invalid("/jobs/{id}/fail", HELD, "errorMessage"),
    invalid("/jobs/{id}/fail", {**HELD, "errorMessage": "x", "retryable": "no"}, "retryable"),
    invalid("/jobs/{id}/release", {"leaseToken": "1"}, "workerId"),
    invalid("/jobs/{id}/cancel/ack", {"workerId": WORKER}, "leaseToken"),
    invalid("/jobs/{id}/cancel/ack", {**HELD, "receipt": []}, "receipt"),
    invalid("/jobs/{id}/cancel", {"reasons": "x"}, "reasons"),
    invalid("/jobs/{id}/cancel", {"reason": "x" * 2_001}, "reason"),
    invalid("/jobs/{id}/events", {"message": "a"}, "workerId", "leaseToken"),
    Refused("/jobs/{id}/heartbeat", {**HELD, "leaseSeconds": 5}, 409, "job_ownership_mismatch"),
    Refused("/jobs/{id}/complete", HELD, 409, "job_ownership_mismatch"),
    Refused("/jobs/{id}/complete", {**HELD, "leaseToken": "2"}, 409, "lease_lost"),
    Refused("/jobs/{id}/fail", {**HELD, "errorMessage": "x"}, 409, "job_ownership_mismatch"),
    Refused("/jobs/{id}/release", HELD, 409, "job_ownership_mismatch"),
    Refused("/jobs/{id}/events", {**HELD, "message": "x"}, 409, "job_ownership_mismatch"),
    Refused("/jobs/{id}/cancel/ack", HELD, 409, "job_ownership_mismatch"),
    Refused("/jobs/1/complete", {"workerId": WORKER}, 422, "validation_failed", ["leaseToken"]),
    *(
        Refused(f"/jobs/{job_id}/{verb}", body, 404, "job_not_found")
        for job_id in (NO_JOB, "1", "x:events", "..%2Fmeta")
        for verb, body in (
            ("heartbeat", {**HELD, "leaseSeconds": 5}),
            ("complete", HELD),
            ("fail", {**HELD, "errorMessage": "x"}),
            ("release", HELD),
            ("cancel", {}),
            ("cancel/ack", HELD),
            ("events", {**HELD, "message": "x"}),
        )
    ),
]


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda refused: f"{refused.path}-{refused.code}")
async def test_a_refusal_writes_nothing(api: Api, store_url: str, refused: Refused) -> None:
    job_id, _ = await api.running("another-worker")
    before = dump(store_url)
    answer = await api.post(refused.path.replace("{id}", job_id), refused.body)
    assert (answer.status, answer.code) == (refused.status, refused.code), answer.text
    assert refused.wrong is None or answer.paths == refused.wrong
    assert dump(store_url) == before


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"data": b"{"}, 400, "bad_request"),
        ({"data": b""}, 400, "bad_request"),
        ({"data": b"\xff"}, 400, "bad_request"),
        (
            {"data": b'{"type":"echo"}', "headers": {"Content-Type": "text/plain"}},
            415,
            "unsupported_media_type",
        ),
        ({"data": b'{"type":"echo"}', "headers": {"Origin": "https://evil.example"}}, 403, "csrf_failed"),
        ({"data": io.BytesIO(b" " * (16 * 1024 * 1024 + 1))}, 413, "payload_too_large"),
    ],
)
async def test_what_is_no_call_writes_nothing(
    api: Api, store_url: str, sent: dict[str, Any], status: int, code: str
) -> None:
    sent = {**sent, "headers": {"Content-Type": "application/json", **sent.get("headers", {})}}
    before = dump(store_url)
    answer = await api.post("/jobs", **sent)
    assert (answer.status, answer.code) == (status, code)
    assert dump(store_url) == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/job", 404, "not_found"),
        ("GET", "//", 404, "not_found"),
        ("DELETE", "/jobs", 405, "method_not_allowed"),
        ("GET", "/jobs/claim/x", 404, "not_found"),
        ("PUT", f"/jobs/{NO_JOB}", 405, "method_not_allowed"),
        ("POST", f"/jobs/{NO_JOB}/events/stream", 405, "method_not_allowed"),
    ],
)
async def test_addresses_that_are_none(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = await api.call(method, path)
    assert (answer.status, answer.code) == (status, code)


async def test_a_stream_has_no_head(api: Api) -> None:
    """A HEAD request would follow the job to its end and show nothing of it."""
    made = await api.enqueue()
    assert (await api.call("HEAD", f"/jobs/{made['id']}/events/stream")).status == 405
    assert (await api.call("HEAD", f"/jobs/{made['id']}")).status == 200


async def test_reading_writes_nothing(api: Api, store_url: str) -> None:
    job_id, _ = await api.running()
    before = dump(store_url)
    for path in ("/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/events", "//readyz", "//metrics", "//healthz"):
        assert (await api.get(path)).status == 200
    assert dump(store_url) == before
