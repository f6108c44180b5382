"""The histogram of what happens with every job shows what that of prometheus_client would."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from sluicegate.job_seconds import JobSeconds

BOUNDS = (0.1, 1.0, 60.0)
SEEN = (0.0, 0.1, 0.11, 1.0, 59.0, 60.5, 1e9)


def lines(registry: CollectorRegistry) -> list[str]:
    """Without the time at which each series began, which ours does not tell."""
    page = generate_latest(registry).decode().splitlines()
    return [line for line in page if "_created" not in line]


def test_it_shows_what_the_usual_one_would() -> None:
    usual, own = CollectorRegistry(), CollectorRegistry()
    theirs = Histogram("run_seconds", "Seconds.", ("status",), registry=usual, buckets=BOUNDS)
    ours = JobSeconds("run_seconds", "Seconds.", own, bounds=BOUNDS, label="status", values=("a", "b"))
    for status in ("a", "b"):
        theirs.labels(status)
    for seconds in SEEN:
        theirs.labels("a").observe(seconds)
        ours.of["a"].observe(seconds)
    assert lines(own) == lines(usual)


def test_without_a_label_it_has_one_series() -> None:
    usual, own = CollectorRegistry(), CollectorRegistry()
    theirs = Histogram("wait_seconds", "Seconds.", registry=usual, buckets=BOUNDS)
    ours = JobSeconds("wait_seconds", "Seconds.", own, bounds=BOUNDS)
    for seconds in SEEN:
        theirs.observe(seconds)
        ours.of[""].observe(seconds)
    assert lines(own) == lines(usual)
