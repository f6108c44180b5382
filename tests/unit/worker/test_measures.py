"""What a worker counts: each claim by its result, each last attempt by how it ended."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from sluicegate.metrics import WorkerMetrics
from sluicegate.model import SystemState
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail, Release
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.holds import Hold
from sluicegate.worker.measures import Measures
from tests.support.scripted_transport import claimed, found

PAUSED = SystemState(workers_paused=True, mode="drain", reason="upgrade", version=2)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def measures(registry: CollectorRegistry) -> Measures:
    return Measures(WorkerMetrics(registry), "worker-1")


def test_claims_by_result(registry: CollectorRegistry, measures: Measures) -> None:
    first = claimed("job-1", token=1, created_at="1")._replace(claimed_at_ms=1501)
    again = claimed("job-2", token=2)
    measures.claimed(found(first, again, seconds=0.25))
    measures.claimed(found(seconds=0.25))
    measures.claimed(found(system=PAUSED, seconds=0.25))
    counted = {
        result: registry.get_sample_value("sluicegate_claims_total", {"result": result})
        for result in ("jobs", "empty", "paused")
    }
    assert counted == {"jobs": 1, "empty": 1, "paused": 1}
    assert registry.get_sample_value("sluicegate_claim_guard_hits_total") == 1
    assert registry.get_sample_value("sluicegate_claim_seconds_sum") == 0.75
    assert registry.get_sample_value("sluicegate_job_wait_seconds_count") == 1
    assert registry.get_sample_value("sluicegate_job_wait_seconds_sum") == 1.5


def test_a_guard_hit_is_told_once_per_pause(
    registry: CollectorRegistry, measures: Measures, caplog: pytest.LogCaptureFixture
) -> None:
    """P-3, P-4: each is counted, the first of each version is a line; an earlier answer is no hit."""
    later = msgspec.structs.replace(PAUSED, mode="quiesce", version=3)
    with caplog.at_level("INFO"):
        for system in (PAUSED, PAUSED, later, later):
            measures.claimed(found(system=system, seconds=0.25))
        measures.claimed(found(claimed(), system=msgspec.structs.replace(PAUSED, version=4), seconds=0.25))
    lines = [
        record.__dict__["fields"] for record in caplog.records if record.getMessage() == "claim_guard_hit"
    ]
    assert [(line["worker"], line["mode"], line["reason"], line["version"]) for line in lines] == [
        ("worker-1", "drain", "upgrade", 2), ("worker-1", "quiesce", "upgrade", 3),
    ]  # fmt: skip
    assert registry.get_sample_value("sluicegate_claim_guard_hits_total") == 4


def test_what_queue_api_counts_is_not_counted_twice(registry: CollectorRegistry) -> None:
    measures = Measures(WorkerMetrics(registry), None)
    measures.claimed(found(claimed(), seconds=0.25))
    measures.ended(RunningAttempt(claimed()), Complete("job-1", 1), 2.5)
    assert registry.get_sample_value("sluicegate_claim_seconds_count") == 0
    assert not registry.get_sample_value("sluicegate_job_run_seconds_count", {"status": "succeeded"})


@pytest.mark.parametrize(
    ("ending", "fields", "status"),
    [
        (Complete("job-1", 1), {}, "succeeded"),
        (Cancelled("job-1", 1), {}, "cancelled"),
        (Fail("job-1", 1, "no", retryable=False), {}, "failed"),
        (Fail("job-1", 1, "no"), {"attempt": "3"}, "dead_letter"),
        (Fail("job-1", 1, "no"), {"max_attempts": "1"}, "dead_letter"),
        (Fail("job-1", 1, "no"), {"attempt": "2"}, None),
        (Release("job-1", 1), {}, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Ending) else str(value),
)
def test_last_attempts_by_how_they_ended(
    registry: CollectorRegistry, measures: Measures, ending: Ending, fields: dict[str, str],
    status: str | None,
) -> None:  # fmt: skip
    measures.ended(RunningAttempt(claimed(**fields)), ending, 2.5)
    counted = {
        sample.labels["status"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "sluicegate_job_run_seconds_sum" and sample.value
    }
    assert counted == ({status: 2.5} if status else {})


def test_jobs_on_their_way_to_a_checkpoint(registry: CollectorRegistry, measures: Measures) -> None:
    """P-11: how many there are and for how long the first was asked, as it is when somebody looks."""
    asked: dict[Hold, list[float]] = {"worker_pause": [2.5, 61.0], "operator": []}
    measures.watch(lambda reason: asked[reason])

    def shown(name: str, reason: str) -> float | None:
        return registry.get_sample_value(f"sluicegate_checkpoint_pending_{name}", {"reason": reason})

    assert (shown("jobs", "worker_pause"), shown("seconds", "worker_pause")) == (2, 61)
    assert (shown("jobs", "operator"), shown("seconds", "operator")) == (0, 0)
    asked["worker_pause"].clear()
    assert (shown("jobs", "worker_pause"), shown("seconds", "worker_pause")) == (0, 0)


def test_how_long_a_cancel_took(registry: CollectorRegistry, measures: Measures) -> None:
    """C-10: one that came with the next heartbeat counts too; a clock that runs behind makes no negative."""
    attempt = RunningAttempt(claimed())
    attempt.interrupt("cancel", 1_000)
    attempt.delivered_ms = 1_040
    measures.cancel_heard(attempt)
    attempt.delivered_ms = 900
    measures.cancel_heard(attempt)
    assert registry.get_sample_value("sluicegate_cancel_latency_seconds_count") == 2
    assert registry.get_sample_value("sluicegate_cancel_latency_seconds_sum") == pytest.approx(0.04)
