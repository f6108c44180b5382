"""Requests as spans: those that change something, in the trace that they bring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import msgspec
import pytest

from services.queue_api.app import build
from sluicegate.http import serving
from sluicegate.settings import QueueApiSettings, Settings
from sluicegate.store import Store
from tests.services.queue_api.conftest import WORKER, Api
from tests.support.spans import Told, recorded

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {"traceparent": PARENT, "tracestate": "a=1"}


@pytest.fixture
def told() -> Iterator[Told]:
    with recorded() as spans:
        yield spans


@pytest.fixture
async def api(told: Told, settings: Settings, store: Store) -> AsyncIterator[Api]:
    """Traced from its start."""
    app = build(QueueApiSettings(**msgspec.structs.asdict(settings)), store)
    async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
        yield Api(f"http://{host}:{port}", session, app)


async def test_a_job_is_a_part_of_the_request_that_enqueues_it(api: Api, told: Told) -> None:
    job = (await api.post("/jobs", {"type": "echo"}, headers=HEADERS)).json
    span = told.one("POST /api/queue/jobs")
    assert told.parent(span) == PARENT[36:52]
    assert span.context is not None
    assert job["traceparent"] == f"{PARENT[:36]}{span.context.span_id:016x}-01"
    assert job["tracestate"] == "a=1"
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST", "http.route": "/api/queue/jobs", "http.response.status_code": 201,
    }  # fmt: skip


async def test_a_job_of_a_producer_without_a_trace_begins_one(api: Api, told: Told) -> None:
    job = await api.enqueue()
    span = told.one("POST /api/queue/jobs")
    assert span.parent is None and span.context is not None
    assert job["traceparent"][:53] == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-"


async def test_a_refusal_is_told_and_is_no_fault_of_ours(api: Api, told: Told) -> None:
    assert (await api.post("/jobs", {"type": "NOT A TYPE"})).status == 422
    span = told.one("POST /api/queue/jobs")
    assert dict(span.attributes or {})["http.response.status_code"] == 422
    assert span.status.is_unset


async def test_looking_waiting_and_a_workers_own_calls_tell_nothing(api: Api, told: Told) -> None:
    job = await api.enqueue()
    await api.get(f"/jobs/{job['id']}", headers=HEADERS)
    claimed = await api.claim()
    waits = {"workerId": WORKER, "leaseSeconds": 30, "waitSeconds": 0.01}
    tool = {"tool": "queue.claim", "arguments": waits}
    assert (await api.post("//mcp/tools/call", tool, headers=HEADERS)).status == 200
    body = {"workerId": WORKER, "leaseToken": claimed["job"]["leaseToken"]}
    assert (await api.post(f"/jobs/{job['id']}/complete", body, headers=HEADERS)).status == 200
    assert [each.name for each in told.all] == ["POST /api/queue/jobs"]
