"""write_off: a job whose payload is lost ends as cancelled, and is never run without it (60-3)."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.store import jobs
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, Made

SPEC = '{"type":"work"}'


async def written_off(store: Store, made: Made, seen: str = "") -> str:
    (words,) = await store.run("write_off", [(made.job_id, seen, SPEC)], actor="doctor", reason="lost")
    return str(words[0])


@pytest.mark.parametrize("state", ["waiting", "delayed", "returned", "stale"])
async def test_a_job_that_nobody_holds(store: Store, builder: JobBuilder, state: str) -> None:
    made = await builder.made(state)
    await store.command("HDEL", keys.job(made.job_id), "spec")
    assert await written_off(store, made) == "OK"
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.cancel_reason, job.cancel_requested_by_user_id) == ("cancelled", "lost", "doctor")
    assert await builder.claim() == []
    assert await written_off(store, made) == "CHANGED"


async def test_an_ended_job_stays_as_it_ended(store: Store, builder: JobBuilder) -> None:
    made = await builder.succeeded()
    await store.command("HDEL", keys.job(made.job_id), "spec")
    assert await written_off(store, made) == "OK"
    assert (await jobs.get(store, made.job_id)).status == "succeeded"


@pytest.mark.damages_the_store
async def test_refused_nothing_is_written(store: Store, builder: JobBuilder) -> None:
    """A live lease: the worker has the payload. Another spec: somebody has repaired it."""
    made = await builder.running()
    await store.command("HDEL", keys.job(made.job_id), "spec")
    before = await contents(store)
    assert await written_off(store, made) == "HELD"
    assert await written_off(store, made, seen="x") == "CHANGED"
    assert await written_off(store, Made("nobody")) == "JOB_NOT_FOUND"
    assert await contents(store) == before
