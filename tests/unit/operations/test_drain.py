"""The estimate of the time to drained (70-47)."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.model import Job
from sluicegate.operations.drain import run_times, until_all_end
from sluicegate.times import to_rfc3339

samples = st.lists(st.floats(0.1, 1000), min_size=1, max_size=20)


def test_one_job_ends_as_such_jobs_do() -> None:
    estimate = until_all_end([[float(n) for n in range(1, 101)]])
    assert estimate is not None
    assert (estimate.p50_seconds, estimate.p90_seconds) == (50.0, 90.0)


def test_the_slowest_of_many_decides() -> None:
    """Ten jobs that each take 1 to 100 s: half of the time the last one takes more than 93 s, not 50."""
    estimate = until_all_end([[float(n) for n in range(1, 101)]] * 10)
    assert estimate is not None
    draw = random.Random(1)
    ends = sorted(max(draw.randint(1, 100) for _ in range(10)) for _ in range(4001))
    assert abs(estimate.p50_seconds - ends[2000]) <= 1
    assert abs(estimate.p90_seconds - ends[3600]) <= 1


def test_a_job_that_outlasted_all_others_allows_no_estimate() -> None:
    assert until_all_end([[1.0, 2.0], []]) is None
    assert until_all_end([]) is None


@given(st.lists(samples, min_size=1, max_size=6), samples)
def test_another_job_never_makes_it_sooner(running: list[list[float]], another: list[float]) -> None:
    fewer, more = until_all_end(running), until_all_end([*running, another])
    assert fewer is not None and more is not None
    assert fewer.p50_seconds <= fewer.p90_seconds
    assert more.p50_seconds >= fewer.p50_seconds
    assert more.p90_seconds >= fewer.p90_seconds


def test_run_times_are_those_of_the_last_attempt() -> None:
    created, started, finished = (to_rfc3339(ms) for ms in (0, 10_000, 12_500))
    ended = Job(
        id="a", type="t", status="succeeded", created_at=created, updated_at=finished, started_at=started
    )
    ended.finished_at = finished
    waiting = Job(id="b", type="t", status="queued", created_at=created, updated_at=created)
    assert run_times([ended, waiting]) == [2.5]
