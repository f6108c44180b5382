"""Long lists of jobs are cut into requests that are accepted, in order and without loss."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.client import batches as module
from sluicegate.client.batches import batches


@given(st.lists(st.binary(max_size=3)), st.integers(1, 5), st.integers(1, 8))
def test_batches_keep_the_order_and_the_limits(jobs: list[bytes], most: int, size: int) -> None:
    original = module.MAX_JOBS, module.MAX_BYTES
    module.MAX_JOBS, module.MAX_BYTES = most, size
    try:
        cut = list(batches(jobs))
    finally:
        module.MAX_JOBS, module.MAX_BYTES = original
    assert [job for batch in cut for job in batch] == jobs
    assert all(0 < len(batch) <= most for batch in cut)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= size for batch in cut)


def test_a_thousand_small_jobs_are_one_request() -> None:
    assert [len(batch) for batch in batches([b"{}"] * 2500)] == [1000, 1000, 500]


def test_large_jobs_go_in_fewer() -> None:
    assert [len(batch) for batch in batches([b"x" * (3 * 1024 * 1024)] * 5)] == [2, 2, 1]
