"""The tools of `/mcp`: REST in another envelope, for the same callers (60-2, 70-20, 70-54)."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO
from typing import Any

import aiohttp
import msgspec
import pytest

from services.queue_api.app import build
from services.queue_api.handlers import claims as claim_handlers
from sluicegate.http import LONG_REQUESTS, METRICS, SETTINGS, serving
from sluicegate.operations.tools import TOOLS, Tool
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store, claims, pause
from tests.services.queue_api.conftest import WORKER, Answer, Api
from tests.support.contents import contents
from tests.support.tokens import bearer, operator_token, worker_token
from tests.support.tool_calls import as_rest
from tests.support.wait import until

NOBODY = "01890000-0000-7000-8000-000000000000"
NOW = "2026-01-31T12:00:00Z"
HELD = {"jobId": NOBODY, "workerId": WORKER, "leaseToken": "1"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "queue.enqueue": {"type": "echo"},
    "queue.get": {"jobId": NOBODY},
    "queue.list": {},
    "queue.events": {"jobId": NOBODY},
    "queue.cancel": {"jobId": NOBODY},
    "queue.pause_status": {},
    "queue.claim": {"workerId": WORKER, "leaseSeconds": 30},
    "queue.heartbeat": {**HELD, "leaseSeconds": 30},
    "queue.upload_artifact": {**HELD, "name": "a.txt", "contentBase64": "aGk="},
    "queue.complete": HELD,
    "queue.fail": {**HELD, "errorMessage": "broken"},
}


async def call(api: Api, tool: str, arguments: Any, **rest: Any) -> Answer:
    return await api.post("//mcp/tools/call", {"tool": tool, "arguments": arguments}, **rest)


async def result(api: Api, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await call(api, tool, arguments)
    assert answer.status == 200, answer.text
    assert set(answer.json) == {"result"}
    return dict(answer.json["result"])


async def test_the_list_is_for_everybody(closed: Api) -> None:
    """70-54: `{tools: [{name, description, inputSchema}]}`."""
    answer = await closed.get("//mcp/tools")
    assert answer.status == 200
    assert set(answer.json) == {"tools"}
    assert [set(each) for each in answer.json["tools"]] == [{"name", "description", "inputSchema"}] * len(
        TOOLS
    )
    assert [each["name"] for each in answer.json["tools"]] == [tool.name for tool in TOOLS]


async def test_an_agent_hands_work_over_and_watches_it(api: Api) -> None:
    """60-2, C-8: enqueued, seen, cancelled, as over REST."""
    made = await result(api, "queue.enqueue", type="echo", payload={"n": 1})
    assert made["status"] == "queued"
    assert await result(api, "queue.get", jobId=made["id"]) == made
    assert (await result(api, "queue.list", type="echo"))["items"] == [made]
    stopped = await result(api, "queue.cancel", jobId=made["id"], reason="not needed")
    assert (stopped["status"], stopped["cancelReason"]) == ("cancelled", "not needed")
    events = (await result(api, "queue.events", jobId=made["id"]))["items"]
    assert [each["payload"]["kind"] for each in events] == [
        "job.enqueued", "job.cancel.requested", "job.cancelled",
    ]  # fmt: skip


async def test_an_agent_works_as_a_worker(api: Api) -> None:
    """60-2: the same `system` object, aliases included."""
    made = await result(api, "queue.enqueue", type="echo")
    claimed = await result(api, "queue.claim", workerId="agent", leaseSeconds=30, waitSeconds=5)
    assert set(claimed) == {"job", "jobs", "system"}
    assert claimed["jobs"] == [claimed["job"]]
    assert claimed["job"]["id"] == made["id"]
    held = {"jobId": made["id"], "workerId": "agent", "leaseToken": claimed["job"]["leaseToken"]}
    beat = await result(api, "queue.heartbeat", **held, leaseSeconds=60)
    assert beat["system"] == claimed["system"]
    assert beat["leaseExpiresAt"] > claimed["job"]["leaseExpiresAt"]
    done = await result(api, "queue.complete", **held, resultSummary="all good")
    assert (done["status"], done["resultSummary"]) == ("succeeded", "all good")
    assert 'run_seconds_count{status="succeeded"} 1.0' in (await api.get("//metrics")).text
    second = await result(api, "queue.enqueue", type="echo")
    token = (await result(api, "queue.claim", workerId="agent", leaseSeconds=30))["job"]["leaseToken"]
    failed = await result(
        api, "queue.fail", jobId=second["id"], workerId="agent", leaseToken=token,
        errorMessage="no", retryable=False,
    )  # fmt: skip
    assert (failed["status"], failed["errorMessage"]) == ("failed", "no")


async def test_an_agent_keeps_a_file(api: Api) -> None:
    """Q-10, 70-20: content as `contentBase64`; the result is the artifact as REST lists it."""
    job_id, held = await api.running()
    kept = await result(
        api, "queue.upload_artifact", jobId=job_id, **held, name="logs/a.txt", contentType="text/plain",
        contentBase64=b64encode(b"what I did").decode(), digest=f"sha256:{sha256(b'what I did').hexdigest()}",
    )  # fmt: skip
    assert (kept["name"], kept["sizeBytes"], kept["jobId"]) == ("logs/a.txt", 10, job_id)
    assert (await api.get(f"/jobs/{job_id}/artifacts")).json["items"] == [kept]
    got = await api.get(f"/jobs/{job_id}/artifacts/{kept['id']}/download")
    assert (got.text, got.headers["Content-Type"]) == ("what I did", "text/plain")


async def test_a_file_that_is_refused(api: Api) -> None:
    """Q-10: by size, name, digest, encoding; nothing is kept."""
    job_id, held = await api.running()
    most = api.app[SETTINGS].max_artifact_bytes
    for change, status, code in (
        ({"contentBase64": "no base64!"}, 422, "invalid_tool_arguments"),
        ({"name": "../a"}, 422, "invalid_tool_arguments"),
        ({"digest": f"sha256:{'0' * 64}"}, 422, "invalid_tool_arguments"),
        ({"leaseToken": "77"}, 409, "lease_lost"),
        ({"contentBase64": b64encode(bytes(most + 1)).decode()}, 413, "artifact_too_large"),
    ):
        arguments = {"jobId": job_id, **held, "name": "a", "contentBase64": "aGk=", **change}
        body = BytesIO(json.dumps({"tool": "queue.upload_artifact", "arguments": arguments}).encode())
        answer = await api.post("//mcp/tools/call", data=body, headers={"Content-Type": "application/json"})
        assert (answer.status, answer.code) == (status, code), answer.text[:500]
    assert (await api.get(f"/jobs/{job_id}/artifacts")).json["items"] == []


async def test_the_pause_is_what_rest_tells(api: Api, store: Store) -> None:
    await pause.change(
        store, action="pause", mode="drain", reason="upgrade", actor="ann", force=False, expected_version=None
    )
    told = await result(api, "queue.pause_status")
    assert set(told) == {"system", "metrics", "drain", "audit"}
    assert (told["system"]["workersPaused"], told["system"]["reason"]) == (True, "upgrade")
    claimed = await result(api, "queue.claim", workerId="agent", leaseSeconds=30)
    assert (claimed["job"], claimed["system"]) == (None, told["system"])


async def test_an_unknown_tool(api: Api) -> None:
    answer = await call(api, "queue.destroy", {})
    assert (answer.status, answer.code) == (404, "tool_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no json", 400, "bad_request"),
        (b"{}", 422, "validation_failed"),
        (b'{"tool":"queue.get","arguments":{},"more":1}', 422, "validation_failed"),
        (b'{"tool":"queue.get"}', 422, "invalid_tool_arguments"),
        (b'{"tool":"queue.get","arguments":[]}', 422, "invalid_tool_arguments"),
        (b'{"tool":"queue.get","arguments":null}', 422, "invalid_tool_arguments"),
    ],
)
async def test_a_call_that_is_none(api: Api, body: bytes, status: int, code: str) -> None:
    answer = await api.call(
        "POST", "//mcp/tools/call", data=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status, answer.code) == (status, code)


async def test_each_wrong_argument_is_named(api: Api) -> None:
    """00-5; also those that are found only when the job is looked at."""
    for tool, arguments, paths in (
        ("queue.enqueue", {"tpe": "echo", "priority": "high"}, {"tpe", "type", "priority"}),
        ("queue.get", {"id": NOBODY}, {"id", "jobId"}),
        ("queue.complete", {"jobId": NOBODY, "workerId": WORKER}, {"leaseToken"}),
        ("queue.enqueue", {"type": "echo", "delaySeconds": 1, "notBefore": NOW}, {"notBefore"}),
        (
            "queue.enqueue", {"type": "task", "payload": {"task": {}}},
            {"payload.repository", "payload.task.instructions"},
        ),
        ("queue.list", {"createdAfter": "yesterday"}, {"createdAfter"}),
        ("queue.events", {"jobId": NOBODY, "cursor": "x"}, {"cursor"}),
    ):  # fmt: skip
        answer = await call(api, tool, arguments)
        assert (answer.status, answer.code) == (422, "invalid_tool_arguments"), answer.text
        assert {each["path"] for each in answer.json["errors"]} == paths


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.about_a_job], ids=lambda tool: tool.name)
async def test_no_such_job(api: Api, tool: Tool) -> None:
    """70-42: nor can a malformed id be one."""
    for job_id in (NOBODY, "nonsense", "../jobs"):
        answer = await call(api, tool.name, {**ARGUMENTS[tool.name], "jobId": job_id})
        assert (answer.status, answer.code) == (404, "job_not_found"), answer.text


@pytest.fixture
async def closed(api_settings: QueueApiSettings, store: Store) -> AsyncIterator[Api]:
    """A service that asks everybody who they are."""
    app = build(msgspec.structs.replace(api_settings, auth="required"), store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{port}", session, app)


async def test_who_may_call_a_tool_is_who_may_make_its_call(closed: Api, store: Store) -> None:
    """60-2: for every tool and every kind of credential the same answer as over REST, by status and code."""
    credentials: dict[str, dict[str, str]] = {"nobody": {}, "a wrong token": bearer("sgop_wrong")}
    for role in ("producer", "viewer", "operator", "admin"):
        credentials[role] = bearer((await operator_token(store, role)).token)
    token = (await worker_token(store)).token
    credentials["the worker"] = {"X-Worker-Token": token}
    credentials["the worker as a bearer"] = bearer(token)
    credentials["another worker"] = bearer((await worker_token(store, "worker-2")).token)
    for tool in TOOLS:
        if tool.rest.startswith("GET /api/system"):
            continue  # the control service's; tests/unit/operations/test_tools.py ties who may
        arguments = ARGUMENTS[tool.name]
        method, path, rest = as_rest(tool.name, arguments)
        for name, headers in credentials.items():
            over_rest = await closed.call(method, "/" + path, **rest, headers=headers)
            over_mcp = await call(closed, tool.name, arguments, headers=headers)
            assert (name, tool.name, told(over_mcp)) == (name, tool.name, told(over_rest))


async def test_nobody_learns_nothing(closed: Api) -> None:
    """70-3: who may call no tool is told so, whatever else is wrong."""
    for body in (
        {"tool": "queue.destroy"},
        {"nonsense": 1},
        {"tool": "queue.enqueue", "arguments": {"tpe": 1}},
    ):
        answer = await closed.post("//mcp/tools/call", body)
        assert (answer.status, answer.code) == (401, "operator_auth_failed")


async def test_a_viewer_sees_the_pause_and_a_producer_does_not(closed: Api, store: Store) -> None:
    viewer = (await operator_token(store, "viewer")).token
    producer = (await operator_token(store, "producer")).token
    assert (await call(closed, "queue.pause_status", {}, headers=bearer(viewer))).status == 200
    answer = await call(closed, "queue.pause_status", {}, headers=bearer(producer))
    assert (answer.status, answer.code) == (403, "operator_not_authorized")


async def test_a_refused_call_writes_nothing(api: Api, store: Store) -> None:
    job_id, held = await api.running()
    before = await contents(store)
    for tool, arguments in (
        ("queue.complete", {"jobId": job_id, **held, "leaseToken": "77"}),
        ("queue.fail", {"jobId": job_id, **held, "workerId": "other", "errorMessage": "no"}),
        ("queue.enqueue", {"type": "echo", "nope": 1}),
    ):
        assert (await call(api, tool, arguments)).status in (409, 422)
    assert await contents(store) == before


async def test_a_claim_waits_for_work(api: Api) -> None:
    """70-64: as over REST, by the same bells."""
    poll = asyncio.create_task(result(api, "queue.claim", workerId="agent", leaseSeconds=30, waitSeconds=20))
    await waiting(api, 1)
    made = await api.enqueue()
    assert (await poll)["job"]["id"] == made["id"]


async def test_a_claim_whose_client_left_claims_nothing(api: Api) -> None:
    """Q-16"""
    poll = asyncio.create_task(result(api, "queue.claim", workerId="agent", leaseSeconds=30, waitSeconds=20))
    await waiting(api, 1)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    await waiting(api, 0)
    made = await api.enqueue()
    job = (await api.get(f"/jobs/{made['id']}")).json
    assert (job["status"], job["releases"]) == ("queued", 0)


async def test_what_was_claimed_for_an_answer_that_cannot_be_written_is_released(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-16"""
    claimed, left = asyncio.Event(), asyncio.Event()

    class Slow:
        async def claim(self, *args: Any, **rest: Any) -> claims.Claimed:
            found = await claims.claim(*args, **rest)
            claimed.set()
            await left.wait()
            return found

    monkeypatch.setattr(claim_handlers, "claims", Slow())
    made = await api.enqueue()
    poll = asyncio.create_task(result(api, "queue.claim", workerId="agent", leaseSeconds=30))
    await claimed.wait()
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    left.set()

    async def back() -> bool:
        job = (await api.get(f"/jobs/{made['id']}")).json
        return bool(job["status"] == "queued" and job["releases"] == 1 and job["attempt"] == 1)

    await until(back, "the job is queued again, released")


async def test_calls_are_counted_by_the_template(api: Api) -> None:
    await result(api, "queue.list")
    value = api.app[METRICS].registry.get_sample_value(
        "sluicegate_http_requests_total", {"method": "POST", "route": "/mcp/tools/call", "status": "200"}
    )
    assert value == 1


def told(answer: Answer) -> tuple[int, str]:
    """Status and code; created and found are one to a tool, which has no status."""
    if answer.status < 300:
        return 200, ""
    return answer.status, answer.code


async def waiting(api: Api, count: int) -> None:
    await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == count, f"{count} claims wait")
