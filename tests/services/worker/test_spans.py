"""A job's attempts as spans of its producer's trace, on either way to the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from sluicegate.model import NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs
from sluicegate.tracing import TraceContext
from sluicegate.worker.context import JobContext
from tests.services.worker.conftest import Way, ended, working
from tests.support.job_builder import JobBuilder
from tests.support.origin import Origin
from tests.support.spans import Told, recorded
from tests.support.tasks import payload
from tests.support.wait import until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "correct-horse-battery-staple"


@pytest.fixture
def told() -> Iterator[Told]:
    with recorded() as spans:
        yield spans


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_local_repositories=True)


def facts(span: ReadableSpan) -> dict[str, Any]:
    """Ours, and what went wrong."""
    return {
        name.removeprefix("sluicegate."): value
        for name, value in (span.attributes or {}).items()
        if name.startswith(("sluicegate.", "error.", "process."))
    }


async def test_a_task_is_one_trace_down_to_the_attempts_of_its_steps(
    store: Store, way: Way, origin: Origin, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second step fails once and heals; its commands go on in the trace; nothing of theirs is in it."""
    monkeypatch.setenv("PLANTED", SECRET)
    seen = tmp_path / "seen"
    fails = (
        f"echo $TRACEPARENT >> {seen}; echo $PLANTED; test $SLUICEGATE_STEP_ATTEMPT = 2 || exit 7; "
        "echo two > two"
    )
    new = NewJob(type="task", payload=payload(origin, f"echo $TRACEPARENT > {seen}; echo one > one", fails))
    submission = job_operations.prepare(
        new, actor="someone", settings=store.settings, trace=TraceContext(PARENT)
    )
    (enqueued,) = await job_operations.submit(store, [submission])
    assert isinstance(enqueued, job_operations.Accepted)
    async with working(way, "worker-a", secret_env=("PLANTED",)):
        assert (await ended(store, enqueued.job)).status == "succeeded"
    ours = [each for each in told.all if not each.name.startswith("POST ")]
    assert {f"{each.context.trace_id:032x}" for each in ours if each.context} == {PARENT[3:35]}
    process = told.one("process task")
    assert told.parent(process) == told.parent(told.one("claim task")) == PARENT[36:52]
    assert {each.name: told.parent(each) for each in ours if told.parent(each) != PARENT[36:52]} == {
        "stage prepare": "process task", "stage execute": "process task", "stage publish": "process task",
        "step 1": "stage execute", "step 2": "stage execute",
        "step 1 attempt": "step 1", "step 2 attempt": "step 2",
    }  # fmt: skip
    attributes = dict(process.attributes or {})
    assert attributes.pop("sluicegate.waited_ms") >= 0  # type: ignore[operator]
    assert attributes == {
        "messaging.system": "sluicegate", "messaging.operation.name": "process",
        "messaging.operation.type": "process", "messaging.destination.name": "task",
        "messaging.message.id": enqueued.job.id, "sluicegate.worker.id": "worker-a",
        "sluicegate.lease.token": 1, "sluicegate.outcome": "succeeded",
    }  # fmt: skip
    (first,), (failed, healed) = told.named("step 1 attempt"), told.named("step 2 attempt")
    assert facts(told.one("step 2")) == {"step.index": 1, "step.id": "step-2"}
    assert facts(failed) == {
        "step.index": 1, "step.attempt": 1, "process.exit.code": 7, "outcome": "failed",
        "error.type": "transient_runtime", "step.next": "soft_reset",
    }  # fmt: skip
    assert facts(healed) == {
        "step.index": 1, "step.attempt": 2, "step.strategy": "soft_reset", "process.exit.code": 0,
        "outcome": "finished",
    }  # fmt: skip
    spans = [f"{each.context.span_id:016x}" for each in (first, failed, healed) if each.context]
    assert seen.read_text().split() == [f"00-{PARENT[3:35]}-{span}-01" for span in spans]
    everything = "".join(each.to_json() for each in told.all)
    for unsaid in (SECRET, "Improve it", "TRACEPARENT", str(tmp_path)):
        assert unsaid not in everything


async def test_a_command_goes_on_in_the_trace_though_its_worker_tells_none(
    store: Store, way: Way, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the worker was started in, and what lets it in at the collector, are not the step's."""
    monkeypatch.setenv("TRACEPARENT", PARENT.replace("b7", "00"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={SECRET}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("TRACESTATE", "x=1")
    seen = tmp_path / "seen"
    script = f'env | grep -E "^(TRACE|OTEL_)" | sort > {seen}'
    for trace in (TraceContext(PARENT, "a=1"), None):
        new = NewJob(type="task", payload=payload(origin, script, publish={"mode": "none"}))
        submission = job_operations.prepare(new, actor="x", settings=store.settings, trace=trace)
        (enqueued,) = await job_operations.submit(store, [submission])
        assert isinstance(enqueued, job_operations.Accepted)
        async with working(way, "worker-a"):
            assert (await ended(store, enqueued.job)).status == "succeeded"
        own = [f"TRACEPARENT={PARENT}", "TRACESTATE=a=1"] if trace else []
        assert seen.read_text().splitlines() == ["OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", *own]


async def test_every_attempt_is_a_span_of_the_same_trace(
    store: Store, way: Way, make: JobBuilder, told: Told
) -> None:
    """A retry too, and a release is told as one."""
    worker = way.worker(worker_concurrency=1, worker_shutdown_seconds=0.0, retry_backoff_base_seconds=0.0)
    at_work = asyncio.Event()

    @worker.handler("work")
    async def work(ctx: JobContext) -> None:
        if ctx.job.attempt == 1:
            raise ValueError("what nobody is to read in a trace")
        at_work.set()
        while True:
            await ctx.checkpoint()
            await asyncio.sleep(0.01)

    running = asyncio.create_task(worker.run(handle_signals=False))
    try:
        job_id = (await make.waiting(trace=TraceContext(PARENT))).job_id
        await until(at_work.is_set, "the second attempt works", timeout=30)
    finally:
        worker.stop()
        await asyncio.wait([running], timeout=20)
    assert (await jobs.get(store, job_id)).status == "queued"
    found = [facts(each) | {"waited_ms": None, "worker.id": None} for each in told.named("process work")]
    assert [(each["lease.token"], each["outcome"], each.get("error.type")) for each in found] == [
        (1, "failed", "handler_error"), (2, "released", None),
    ]  # fmt: skip
    assert {told.parent(each) for each in told.named("process work")} == {PARENT[36:52]}
    assert "what nobody is to read" not in "".join(each.to_json() for each in told.all)
