"""read_jobs: jobs as they are, in any state, without changing one."""

from __future__ import annotations

import pytest
import uuid_utils

from sluicegate.errors import NotFound
from sluicegate.store import jobs
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder

STATES = {
    "waiting": "queued", "delayed": "queued", "returned": "queued", "running": "running", "stale": "running",
    "cancelling": "running", "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled",
    "dead_letter": "dead_letter",
}  # fmt: skip


@pytest.mark.parametrize(("state", "status"), STATES.items())
async def test_a_job_in_any_state(store: Store, builder: JobBuilder, state: str, status: str) -> None:
    """C-3: what is set in which state; reading writes nothing."""
    made = await builder.made(state, priority=3, repository="host/a/b", payload={"n": []})
    before = await contents(store)
    job = await jobs.get(store, made.job_id)
    assert await contents(store) == before
    assert (job.status, job.priority, job.repository, job.payload) == (status, 3, "host/a/b", {"n": []})
    assert (job.lease_expires_at is not None) == (status == "running")
    assert (job.next_attempt_at is not None) == (state == "delayed")
    assert (job.finished_at is not None) == job.terminal
    assert (job.claimed_by is None) == (status in ("queued", "cancelled"))
    assert (job.cancel_requested_at is not None) == (state in ("cancelling", "cancelled"))
    assert job.lease_token is None


async def test_many_come_in_order_gaps_included(store: Store, builder: JobBuilder) -> None:
    ids = await builder.enqueued(*(builder.submission() for _ in range(230)))
    ids.insert(100, str(uuid_utils.uuid7()))
    found = await jobs.read(store, ids)
    assert [job.id if job else None for job in found] == [*ids[:100], None, *ids[101:]]


@pytest.mark.parametrize("job_id", ["0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000", "x:events", "", "0192AAAA"])
async def test_what_is_not_there_is_not_found(store: Store, job_id: str) -> None:
    with pytest.raises(NotFound):
        await jobs.get(store, job_id)


async def test_no_ids_is_a_ping(store: Store) -> None:
    assert await store.run("read_jobs") == [[]]
    await store.ping()
