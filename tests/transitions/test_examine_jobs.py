"""examine_jobs: a job's record, its place and the indexes, judged in one moment (DESIGN 7)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder


async def examined(store: Store, *job_ids: str) -> list[list[str]]:
    (found,) = await store.run("examine_jobs", [(job_id,) for job_id in job_ids])
    return list(found)


async def test_a_sound_job_in_each_state_has_no_fault(store: Store, builder: JobBuilder) -> None:
    made = [(await builder.made(state, type=state)).job_id for state in builder.STATES]
    before = await contents(store)
    assert await examined(store, *made, "nobody") == [[]] * (len(made) + 1)
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_each_fault_is_a_word(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    await store.commands(("ZREM", keys.LEASES, made.job_id), ("ZADD", keys.status("failed"), 1, made.job_id))
    assert await examined(store, made.job_id) == [["also_listed failed", "no_lease"]]


@pytest.mark.damages_the_store
async def test_an_ended_job_is_believed_to_have_ended(store: Store, builder: JobBuilder) -> None:
    """One field said that a failed job waits: it must not run again for that."""
    made = await builder.failed()
    await store.command("HSET", keys.job(made.job_id), "status", "queued")
    assert await examined(store, made.job_id) == [["wrong_status failed"]]
