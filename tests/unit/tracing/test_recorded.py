"""What spans tell of how something ended, and what they never tell."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from sluicegate import log as logs
from sluicegate import tracing
from sluicegate.errors import ConfigurationError, LeaseLost
from sluicegate.settings import WorkerSettings
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail, Release
from sluicegate.tracing import Spans
from sluicegate.worker.outcome import JobCancelled, JobFailed, JobReleased
from tests.support.scripted_transport import claimed
from tests.support.spans import Told, recorded

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WORDS = "what an agent has said"


@pytest.fixture
def told() -> Iterator[Told]:
    with recorded() as spans:
        yield spans


@pytest.mark.parametrize(
    ("ending", "outcome", "failure_class"),
    [
        (Complete("j", 1, WORDS), "succeeded", None),
        (Release("j", 1, WORDS), "released", None),
        (Cancelled("j", 1, WORDS), "cancelled", None),
        (Fail("j", 1, WORDS, failure_class="flaky"), "failed", "flaky"),
        (Fail("j", 1, WORDS), "failed", "unclassified"),
        (None, "lease_lost", "lease_lost"),
    ],
    ids=["complete", "release", "cancelled", "fail", "unclassified", "lost"],
)
def test_an_attempt_tells_how_it_ended(
    told: Told, ending: Ending | None, outcome: str, failure_class: str | None
) -> None:
    with tracing.spans().attempt(claimed(trace=PARENT)) as span:
        span.ended(ending)
    found = told.one("process work")
    attributes = dict(found.attributes or {})
    assert (attributes["sluicegate.outcome"], attributes.get("error.type")) == (outcome, failure_class)
    assert (found.status.status_code is StatusCode.ERROR) == (failure_class is not None)
    assert WORDS not in found.to_json()


@pytest.mark.parametrize(
    ("error", "outcome", "failure_class"),
    [
        (JobFailed(WORDS, failure_class="flaky"), "failed", "flaky"),
        (ValueError(WORDS), "failed", "ValueError"),
        (JobCancelled(), "cancelled", None),
        (asyncio.CancelledError(), "cancelled", None),
        (JobReleased(), "released", None),
        (LeaseLost(WORDS), "lease_lost", "lease_lost"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_raised_tells_how_a_stage_ended(
    told: Told, error: BaseException, outcome: str, failure_class: str | None
) -> None:
    with pytest.raises(type(error)), tracing.spans().stage("prepare"):
        raise error
    found = told.one("stage prepare")
    attributes = dict(found.attributes or {})
    assert (attributes["sluicegate.outcome"], attributes.get("error.type")) == (outcome, failure_class)
    assert (found.status.status_code is StatusCode.ERROR) == (failure_class is not None)
    assert WORDS not in found.to_json()


def test_an_attempt_of_no_trace_begins_one(told: Told) -> None:
    with tracing.spans().stage("around"), tracing.spans().attempt(claimed()):
        pass
    assert told.one("process work").parent is None


def test_a_claim_is_told_of_the_jobs_that_have_a_trace(told: Told) -> None:
    tracing.spans().claimed([claimed("a", trace=PARENT), claimed("b")], 0.25)
    found = told.one("claim work")
    assert found.parent is not None and f"{found.parent.span_id:016x}" == PARENT[36:52]
    assert (found.end_time or 0) - (found.start_time or 0) == 250_000_000
    assert dict(found.attributes or {})["messaging.message.id"] == "a"


def test_a_text_of_a_fact_is_bounded(told: Told) -> None:
    with tracing.spans().stage("prepare"):
        tracing.spans().note(outcome="x" * 5000)
    assert dict(told.one("stage prepare").attributes or {})["sluicegate.outcome"] == "x" * 128


def test_a_log_line_names_the_span_that_it_was_written_in(told: Told) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines("worker", str))
    logger = logging.getLogger("sluicegate.test_of_spans")
    logger.addHandler(handler)
    try:
        with tracing.spans().stage("prepare"):
            logger.warning("inside")
        logger.warning("outside")
    finally:
        logger.removeHandler(handler)
    inside, outside = (json.loads(line) for line in stream.getvalue().splitlines())
    context = told.one("stage prepare").context
    assert context is not None
    assert (inside["trace_id"], inside["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert not {"trace_id", "span_id"} & outside.keys()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sluicegate.tracing.export", "sluicegate.tracing.recorded"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    missing: dict[str, Any] = {"opentelemetry.sdk.resources": None}
    for name, module in missing.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delattr(tracing, "export", raising=False)
    with pytest.raises(ConfigurationError, match=r"pip install 'sluicegate\[tracing\]'"):
        tracing.start(WorkerSettings(tracing=True), "worker")
    assert not tracing.is_on()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
)
def test_another_exporter_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    from sluicegate.tracing import export

    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable):
        export.provider("worker")


def test_the_environment_says_the_last_word_on_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    from sluicegate.tracing import export

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert export.provider("worker").resource.attributes["service.name"] == "sluicegate-worker"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    found = export.provider("worker").resource.attributes
    assert (found["service.name"], found["deployment.environment.name"]) == ("mine", "test")


def test_a_collector_that_is_away_is_told_of_once_a_minute() -> None:
    from sluicegate.tracing.export import Seldom

    seldom = Seldom()

    def passes(at: float) -> bool:
        return seldom.filter(logging.makeLogRecord({"created": at}))

    assert [passes(at) for at in (1000.0, 1001.0, 1059.0, 1060.0, 1061.0)] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_off_is_one_object_that_does_nothing() -> None:
    assert not tracing.is_on()
    spans = tracing.spans()
    assert type(spans) is Spans
    assert spans.stage("a") is spans.attempt(claimed()) is spans.hard_reset()
    with spans.stage("a") as span:
        span.note(outcome="finished")
        span.ended(None)
    assert tracing.current() is None
