"""fit_jobs: which of some jobs fit a filter, in any state, without changing one."""

from __future__ import annotations

from typing import Any

import pytest
import uuid_utils

from sluicegate.model import Job
from sluicegate.store import jobs
from sluicegate.store.connection import Store
from sluicegate.store.jobs import JobFilter
from sluicegate.times import from_rfc3339
from tests.support.contents import contents
from tests.support.job_builder import WORKER, JobBuilder

ANY: dict[str, Any] = {
    "status": "", "kind": "", "repository": "", "owner": "", "after_ms": -1, "before_ms": -1
}  # fmt: skip


async def fitting(store: Store, ids: list[str], **wanted: Any) -> list[str]:
    return await store.run_many("fit_jobs", [(each,) for each in ids], **{**ANY, **wanted})


async def test_each_trait_alone(store: Store, builder: JobBuilder) -> None:
    """Types and repositories are compared as a lane's name has them; no such job fits nothing."""
    (waiting,) = await builder.enqueued(builder.submission("wait|ing", repository="host/a%b"))
    running = (await builder.made("running", repository="host/a/b")).job_id
    gone = str(uuid_utils.uuid7())
    ids = [waiting, gone, running]
    before = await contents(store)
    assert await fitting(store, ids) == [waiting, running]
    assert await fitting(store, ids, status="running") == [running]
    assert await fitting(store, ids, kind="wait%7Cing") == [waiting]
    assert await fitting(store, ids, repository="host/a%25b") == [waiting]
    assert await fitting(store, ids, repository="host/a/b") == [running]
    assert await fitting(store, ids, owner=WORKER) == [running]
    assert await fitting(store, ids, owner="nobody") == []
    created = from_rfc3339((await jobs.get(store, running)).created_at)
    assert await fitting(store, [running], after_ms=created) == []
    assert await fitting(store, [running], after_ms=created - 1, before_ms=created + 1) == [running]
    assert await fitting(store, [running], before_ms=created) == []
    assert await contents(store) == before
    assert await fitting(store, []) == []


@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_pages_of_a_filter_have_each_job_once(store: Store, builder: JobBuilder, limit: int) -> None:
    """What fits lies thinly among what does not; the last page has no cursor."""
    ids = await builder.enqueued(
        *(builder.submission("wanted" if at % 4 == 0 else "other") for at in range(28))
    )
    found: list[Job] = []
    cursor = None
    for _ in range(30):
        page, cursor = await jobs.listing(store, JobFilter(type="wanted"), cursor=cursor, limit=limit)
        found += page
        if cursor is None:
            break
    assert sorted(job.id for job in found) == sorted(ids[::4])
    assert cursor is None
