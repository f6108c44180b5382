"""While the store is away: 503 with Retry-After in time, and back to work after (70-19, P-11)."""

from __future__ import annotations

import time

import aiohttp
import msgspec
import redis

from services.queue_api.app import build
from sluicegate.http import serving
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store
from tests.services.queue_api.conftest import Api
from tests.support.store_server import valkey


async def test_every_call_answers_503_until_the_store_is_back(api_settings: QueueApiSettings) -> None:
    with valkey() as url:
        settings = msgspec.structs.replace(api_settings, redis_url=url, redis_timeout_ms=500)
        store = await Store.open(settings)
        app = build(settings, store)
        async with (
            serving(app, "127.0.0.1", 0) as (host, port),
            aiohttp.ClientSession() as session,
        ):
            api = Api(f"http://{host}:{port}", session, app)
            job_id, held = await api.running()
            with redis.Redis.from_url(url, protocol=2) as client:
                client.shutdown(nosave=True)
            started = time.monotonic()
            for path, body in (
                ("/jobs", {"type": "echo"}),
                ("/jobs/claim", {"workerId": "w", "leaseSeconds": 30}),
                (f"/jobs/{job_id}/heartbeat", {**held, "leaseSeconds": 30}),
                (f"/jobs/{job_id}/complete", held),
            ):
                answer = await api.post(path, body)
                assert answer.status == 503, answer.text
                assert answer.code in ("store_unavailable", "outcome_unknown")
                assert int(answer.headers["Retry-After"]) > 0
            assert (await api.get("//readyz")).status == 503
            assert (await api.get("//healthz")).status == 200
            assert time.monotonic() - started < 10
            text = (await api.get("//metrics")).text
            assert "# TYPE sluicegate_jobs gauge" in text
            assert 'sluicegate_jobs{status="queued"}' not in text
        await store.close()


async def test_a_store_without_its_records_is_not_an_empty_queue(api: Api, store_url: str) -> None:
    """P-11: no pause record, no claim."""
    await api.enqueue()
    with redis.Redis.from_url(store_url, protocol=2) as client:
        client.flushdb()
    for answer in (
        await api.post("/jobs/claim", {"workerId": "w", "leaseSeconds": 30}),
        await api.get("/jobs/00000000-0000-7000-8000-000000000000"),
        await api.get("//readyz"),
    ):
        assert (answer.status, answer.code) == (503, "store_uninitialised")


async def test_the_figures_of_the_queue_are_shown(api: Api) -> None:
    """70-38: every metric has its TYPE line before its first event."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/fail", {**held, "errorMessage": "x", "retryable": False})
    await api.enqueue(priority=3)
    await api.enqueue(delaySeconds=60)
    text = (await api.get("//metrics")).text
    for shown in (
        "sluicegate_jobs_enqueued_total 3.0",
        'sluicegate_jobs_finished_total{status="failed"} 1.0',
        'sluicegate_jobs{status="queued"} 1.0',
        'sluicegate_jobs{status="failed"} 1.0',
        "sluicegate_jobs_delayed 1.0",
        "sluicegate_jobs_stale 0.0",
        "sluicegate_lanes 1.0",
        "sluicegate_workers_paused 0.0",
        'sluicegate_oldest_waiting_seconds{band="high"}',
    ):
        assert shown in text
    for name, kind in (
        ("claims_total", "counter"),
        ("retries_total", "counter"),
        ("dead_letters_total", "counter"),
        ("lease_expired_total", "counter"),
        ("pause_transitions_total", "counter"),
        ("cancel_requests_total", "counter"),
        ("job_wait_seconds", "histogram"),
        ("http_request_seconds", "histogram"),
        ("pause_age_seconds", "gauge"),
    ):
        assert f"# TYPE sluicegate_{name} {kind}" in text
