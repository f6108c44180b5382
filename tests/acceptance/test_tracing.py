"""Spans of real processes, at a collector: one trace of a producer, the API, a worker and its commands."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.dev.embedded_store import free_port
from sluicegate.store import Store, jobs
from tests.support.collector import Sent, collecting
from tests.support.job_builder import JobBuilder
from tests.support.origin import Origin
from tests.support.programs import Programs, programs
from tests.support.tasks import payload
from tests.support.wait import until

pytestmark = pytest.mark.slow

PRODUCER = """
import asyncio, json, sys
from opentelemetry import trace
from sluicegate import Client
from sluicegate.tracing import export

async def main():
    tracer = export.tracer("shop")
    async with Client.from_url(sys.argv[1]) as client:
        with tracer.start_as_current_span("order"):
            print((await client.enqueue(json.loads(sys.argv[2]))).id)

asyncio.run(main())
export.flush()
"""
SECRET = "correct-horse-battery-staple"
PRODUCED, SERVED, CALLED, CONSUMED = 4, 2, 3, 5
"""Kinds of spans, as OTLP numbers them."""


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path, "http") as running:
        running.settings |= {"TRACING": "1", "WORKER_LEASE_SECONDS": "30"}
        yield running


@pytest.fixture
def exporting(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    return monkeypatch


async def test_one_trace_leads_from_a_producer_to_the_attempts_of_a_step(
    store: Store, started: Programs, exporting: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three processes, over HTTP; a step fails once and heals; nothing of what it says is in the spans."""
    origin = Origin(tmp_path / "remote")
    exporting.setenv("PLANTED", SECRET)
    exporting.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer let-me-in")
    script = (
        f"echo $TRACEPARENT >> {tmp_path}/seen; echo $PLANTED; test $SLUICEGATE_STEP_ATTEMPT = 2 || exit 7; "
        "echo one > one"
    )
    async with collecting() as collector:
        exporting.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        started.settings["ALLOW_LOCAL_REPOSITORIES"] = "1"
        api = await started.start_api()
        worker = started.start(
            "services.worker", WORKER_CAPABILITIES="git,shell", SECRET_ENV="PLANTED", **await started.reach()
        )
        job_id = await enqueued(started, {"type": "task", "payload": payload(origin, script)})
        await until(lambda: _succeeded(store, job_id), "the task has succeeded", timeout=60)
        for program in (worker, api):
            program.signal(signal.SIGTERM)
            assert await program.ended() == 0
    (order,) = collector.named("order")
    assert {each.trace for each in collector.spans} == {order.trace}
    above = {
        "order": None, "enqueue task": "order", "POST /api/queue/jobs": "enqueue task",
        "claim task": "POST /api/queue/jobs", "process task": "POST /api/queue/jobs",
        "stage prepare": "process task", "stage execute": "process task", "stage publish": "process task",
        "step 1": "stage execute", "step 1 attempt": "step 1",
    }  # fmt: skip
    names = {each.span: each.name for each in collector.spans}
    told = {each.name: names.get(each.parent) for each in collector.spans}
    assert told == above
    kinds = {each.name: (each.service, each.kind) for each in collector.spans}
    assert kinds["enqueue task"] == ("sluicegate-shop", PRODUCED)
    assert kinds["POST /api/queue/jobs"] == ("sluicegate-queue_api", SERVED)
    assert kinds["claim task"] == ("sluicegate-worker", CALLED)
    assert kinds["process task"] == ("sluicegate-worker", CONSUMED)
    failed, healed = sorted(collector.named("step 1 attempt"), key=_number)
    assert (failed.failed, failed.facts["process.exit.code"]) == (True, 7)
    assert (healed.failed, healed.facts["sluicegate.step.strategy"]) == (False, "soft_reset")
    seen = (tmp_path / "seen").read_text().split()
    assert [text.split("-")[1:3] for text in seen] == [[each.trace, each.span] for each in (failed, healed)]
    assert collector.credentials == {"Bearer let-me-in"}
    for unsaid in (SECRET, "let-me-in", "Improve it", "STEP_ATTEMPT", str(tmp_path)):
        assert not any(unsaid.encode() in body for body in collector.bodies), unsaid


async def test_a_collector_that_is_away_is_nobodys_trouble(
    store: Store, started: Programs, exporting: pytest.MonkeyPatch
) -> None:
    """Jobs run as before, and the worker ends, though its spans cannot be sent."""
    exporting.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    started.way = "redis"
    worker = await started.worker()
    made = await JobBuilder(store).waiting(type="small")
    await until(lambda: _succeeded(store, made.job_id), "the job has succeeded", timeout=20)
    await worker.said("library")  # the exporter says that it cannot send
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0


async def enqueued(started: Programs, job: dict[str, object]) -> str:
    """By a process that traces itself, with the client."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PRODUCER, f"http://127.0.0.1:{started.api_port}", json.dumps(job)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def _succeeded(store: Store, job_id: str) -> bool:
    found = await jobs.get(store, job_id)
    assert found.status in ("queued", "running", "succeeded"), found
    return found.status == "succeeded"


def _number(sent: Sent) -> int:
    return int(sent.facts["sluicegate.step.attempt"])
