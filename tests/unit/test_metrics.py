"""What is measured: all that was promised, in words, with a unit, under labels that stay few."""

from __future__ import annotations

import re
import urllib.request
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from docs.generate import metric_collectors
from services.worker.heal.budgets import Strategy
from sluicegate import metrics, service
from sluicegate.errors import ConfigurationError
from sluicegate.metrics import WorkerMetrics
from sluicegate.settings import WorkerSettings
from tests.support.metric_names import LABELS

PROMISED = {
    "counter": """
        jobs_enqueued_total jobs_finished_total{status} claims_total{result} claim_guard_hits_total
        retries_total{reason} lease_expired_total dead_letters_total{reason} cancel_requests_total
        pause_transitions_total{action,mode} self_heal_attempts_total{class,strategy,outcome}
        self_heal_recovered_total{class,strategy} self_heal_exhausted_total{class,strategy}
        step_timeouts_total{kind} auth_failures_total{kind} live_sessions_total{status}
        http_requests_total{method,route,status}
    """,
    "histogram": """
        job_wait_seconds job_run_seconds{status} step_duration_seconds cancel_latency_seconds claim_seconds
        http_request_seconds{method,route} heartbeat_lateness_seconds
    """,
    "gauge": """
        jobs{status} jobs_delayed jobs_stale oldest_waiting_seconds{band} lanes workers workers_paused
        pause_age_seconds sweeper_lag_seconds{loop} worker_slots{state}
    """,
}
"""Spec 60-5, with the labels that they have."""


def families() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Kind, labels and meaning of every metric, by its name as Prometheus has it."""
    found = {}
    for _, collectors in metric_collectors():
        for collector in collectors:
            for family in collector.collect():
                name = family.name + ("_total" if family.type == "counter" else "")
                found[name] = family.type, _labels(family, collector), family.documentation
    return {name: each for name, each in found.items() if name.startswith("sluicegate_")}


def _labels(family: Any, collector: Any) -> tuple[str, ...]:
    return tuple(getattr(family, "_labelnames", ()) or getattr(collector, "_labelnames", ()))


FAMILIES = families()


@pytest.mark.parametrize("kind", sorted(PROMISED))
def test_all_that_was_promised_is_measured(kind: str) -> None:
    for promised in PROMISED[kind].split():
        name, _, labels = promised.rstrip("}").partition("{")
        known = FAMILIES[f"sluicegate_{name}"]
        assert (known[0], ",".join(known[1])) == (kind, labels), name


def test_labels_are_bounded() -> None:
    """No job id, no repository, no worker's name: what is not a word of a closed list is no label."""
    assert {label for _, labels, _ in FAMILIES.values() for label in labels} == LABELS


def test_each_metric_says_what_it_tells_in_a_unit() -> None:
    for name, (kind, _, meaning) in FAMILIES.items():
        assert meaning.endswith("."), name
        assert kind != "histogram" or name.endswith("_seconds"), name
        assert not re.search(r"_(ms|kb|mb|percent|minutes)\b", name), name


def test_known_labels_are_there_before_the_first_event() -> None:
    """A rate needs a 0 to grow from."""
    WorkerMetrics(registry := CollectorRegistry())
    for result in ("jobs", "empty", "paused"):
        assert registry.get_sample_value("sluicegate_claims_total", {"result": result}) == 0
    for kind in ("wall", "idle", "no_progress"):
        assert registry.get_sample_value("sluicegate_step_timeouts_total", {"kind": kind}) == 0
    assert set(metrics.STRATEGIES) == set(get_args(Strategy))
    for strategy in metrics.STRATEGIES:
        healed = {"class": "stuck_no_progress", "strategy": strategy}
        assert registry.get_sample_value("sluicegate_self_heal_recovered_total", healed) == 0


def test_a_worker_shows_its_page_where_it_is_told_to() -> None:
    """70-38."""
    WorkerMetrics(registry := CollectorRegistry())
    told = WorkerSettings(metrics_host="127.0.0.2", metrics_port=0)
    with service.metrics_page(told, registry) as (host, port):
        assert host == "127.0.0.2"
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
            page = answer.read().decode()
    assert "# HELP sluicegate_worker_slots Slots of this worker" in page
    assert "sluicegate_build_info{version=" in page


def test_an_address_that_cannot_be_used_is_named() -> None:
    told = WorkerSettings(metrics_host="192.0.2.1", metrics_port=0)
    with (
        pytest.raises(ConfigurationError, match=r"SLUICEGATE_METRICS_HOST='192\.0\.2\.1'"),
        service.metrics_page(told, CollectorRegistry()),
    ):
        pass
