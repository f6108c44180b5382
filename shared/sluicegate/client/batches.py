"""A long list of jobs, cut into requests that a deployment accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MAX_JOBS = 1000
MAX_BYTES = 8 * 1024 * 1024  # half of the default limit of a body: settings may be lower than the default


def batches(jobs: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Runs of at most 1,000 jobs and 8 MiB, in order. A job that is larger alone goes alone."""
    batch: list[bytes] = []
    size = 0
    for job in jobs:
        if batch and (len(batch) == MAX_JOBS or size + len(job) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += len(job)
    if batch:
        yield batch
