"""release: handed back unharmed, no attempt used, but not for ever."""

from __future__ import annotations

import msgspec
import pytest

from sluicegate.store import endings, jobs, sweeping
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents, fields, kinds
from tests.support.job_builder import JobBuilder, Made
from tests.support.wait import until


async def release(store: Store, made: Made) -> list[list[str]]:
    return await store.run(
        "release", [(made.job_id, made.token, "shutdown", 0.5)], worker=made.worker, max_releases=20,
        **endings.backoff(store.settings),
    )  # fmt: skip


async def test_a_released_job_waits_again_at_once(store: Store, builder: JobBuilder) -> None:
    """Q-14: queued, no attempt used, claimable by the next worker now."""
    made = await builder.running()
    before = await contents(store)
    assert await release(store, made) == [["OK"]]
    after = await contents(store)
    assert changed(before, after) == {
        f"job:{made.job_id}", f"job:{made.job_id}:events", "lane:0|work|||+w", "lane:0|work|||+r", "lanes",
        "leases", "status:running", "status:queued", "counters", "events", "ready",
        f"ready:{builder.work.id}", f"bell:{builder.work.id}",
    }  # fmt: skip
    stored = await fields(store, made.job_id)
    assert stored.pop("entry").startswith("+r")
    stored.pop("updated_at")
    assert stored == {"status": "queued", "token": "1", "releases": "1", "ended": "1:release:worker-1"}
    assert await kinds(store, made.job_id) == ["job.claimed", "job.released"]
    (job,) = await builder.claim(worker="worker-2")
    assert (job.id, job.attempt, job.releases, job.lease_token) == (made.job_id, 1, 1, "2")


async def test_one_release_too_many_is_a_failed_attempt(store: Store, builder: JobBuilder) -> None:
    """Q-14: past 20 releases a release counts as a failed attempt, with its backoff."""
    made = await builder.waiting()
    for token in range(1, 21):
        (job,) = await builder.claim()
        assert job.attempt == 1
        job = await builder.ended(Made(job.id, token), endings.Release(job.id, token))
        assert (job.status, job.releases, job.next_attempt_at) == ("queued", token, None)
    await builder.claim()
    job = await builder.ended(Made(made.job_id, 21), endings.Release(made.job_id, 21))
    assert (job.status, job.attempt, job.releases) == ("queued", 2, 21)
    assert (job.failure_class, job.error_message) == ("released_too_often", "released 21 times")
    assert job.next_attempt_at is not None
    assert (await kinds(store, made.job_id))[-1] == "job.retry_scheduled"


async def test_the_last_attempt_cannot_be_released_for_ever(store: Store, builder: JobBuilder) -> None:
    """Q-14, Q-8: with no attempt left it is a dead letter."""
    store.settings = msgspec.structs.replace(store.settings, max_releases=0)
    made = await builder.running(max_attempts=1)
    job = await builder.ended(made, endings.Release(made.job_id, made.token))
    assert (job.status, job.failure_class) == ("dead_letter", "released_too_often")


async def test_a_release_after_a_cancel_ends_the_job(store: Store, builder: JobBuilder) -> None:
    """C-6: nothing resurrects a job with a cancel request."""
    made = await builder.cancelling()
    assert await release(store, made) == [["OK"]]
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.claimed_by, job.lease_expires_at) == ("cancelled", None, None)
    assert await builder.claim() == []


@pytest.mark.parametrize("case", fences.cases("release"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)
    await fences.refuses(store, lambda: release(store, made), case.word)


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    made = await builder.returned()
    before = await contents(store)
    assert await release(store, made) == [["REPEATED"]]
    assert await contents(store) == before


async def test_a_late_release_counts_while_nobody_requeued(store: Store, builder: JobBuilder) -> None:
    """Q-9: no attempt is used then."""
    made = await builder.stale()
    assert await release(store, made) == [["OK"]]
    assert await sweeping.expire_leases(store) == 0
    (job,) = await until(builder.claim, "the job is claimed again")
    assert job.attempt == 1
