"""complete: an attempt that still holds its job ends it as succeeded, once."""

from __future__ import annotations

import pytest

from sluicegate.errors import LeaseLost
from sluicegate.store import cancellation, endings, events, jobs, sweeping
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents, kinds
from tests.support.job_builder import JobBuilder


async def test_a_job_succeeds(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    before = await contents(store)
    job = await builder.ended(made, endings.Complete(made.job_id, made.token, "all done"))
    after = await contents(store)
    assert (job.status, job.result_summary, job.claimed_by) == ("succeeded", "all done", "worker-1")
    assert job.finished_at == job.updated_at
    assert changed(before, after) == {
        f"job:{made.job_id}", f"job:{made.job_id}:events", "lane:0|work|||+w", "lanes", "leases",
        "status:running", "status:succeeded", "counters", "events",
    }  # fmt: skip
    assert not {"lane:0|work|||+w", "lanes", "leases", "status:running"} & after.keys()
    assert after["counters"]["finished:succeeded"] == "1"
    assert await kinds(store, made.job_id) == ["job.claimed", "job.succeeded"]


async def test_without_a_summary_none_is_stored(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    assert (await builder.ended(made, endings.Complete(made.job_id, made.token))).result_summary is None


async def test_the_lane_stays_for_those_behind(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    behind = await builder.waiting()
    await builder.ended(made, endings.Complete(made.job_id, made.token))
    assert [job.id for job in await builder.claim()] == [behind.job_id]


@pytest.mark.parametrize("case", fences.cases("complete"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)
    await fences.refuses(
        store, lambda: store.run("complete", [(made.job_id, made.token, "r")], worker=made.worker), case.word
    )


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    """The same token and verb again gets the first reply, and writes nothing."""
    made = await builder.succeeded()
    first = await jobs.get(store, made.job_id)
    before = await contents(store)
    assert await builder.ended(made, endings.Complete(made.job_id, made.token, "another")) == first
    assert await contents(store) == before


async def test_a_batch_is_judged_one_by_one(store: Store, builder: JobBuilder) -> None:
    one = await builder.running(type="a")
    two = await builder.running(type="b")
    waiting = await builder.waiting(type="c")
    batch = [
        endings.Complete(one.job_id, one.token),
        endings.Complete(waiting.job_id, 1),
        endings.Complete(one.job_id, one.token),
        endings.Complete(two.job_id, two.token),
    ]
    results = await endings.settle(store, "worker-1", batch)
    assert [type(result) for result in results] == [type(None), LeaseLost, type(None), type(None)]
    assert (await jobs.counts(store)).succeeded == 2


async def test_a_complete_wins_over_a_cancel_that_nobody_obeyed(store: Store, builder: JobBuilder) -> None:
    """C-3, C-6: the job is succeeded; its events show that the request came too late, and whose it was."""
    made = await builder.cancelling()
    job = await builder.ended(made, endings.Complete(made.job_id, made.token))
    assert job.status == "succeeded"
    assert job.cancel_requested_by_user_id == "someone"
    assert await kinds(store, made.job_id) == [
        "job.claimed", "job.cancel.requested", "job.cancel.too_late", "job.succeeded",
    ]  # fmt: skip
    too_late = (await events.page(store, made.job_id))[3]
    assert too_late.message.startswith("The cancel request came too late")
    assert too_late.payload == {
        "kind": "job.cancel.too_late", "workerId": "worker-1", "cancelRequestedByUserId": "someone",
        "cancelRequestedAt": job.cancel_requested_at,
    }  # fmt: skip
    with pytest.raises(Exception, match="is succeeded"):
        await cancellation.cancel(store, made.job_id, actor="someone")


async def test_a_late_complete_succeeds_while_nobody_requeued(store: Store, builder: JobBuilder) -> None:
    """Q-9: the clock alone takes no lease away."""
    made = await builder.stale()
    assert (await builder.ended(made, endings.Complete(made.job_id, made.token))).status == "succeeded"
    assert await sweeping.expire_leases(store) == 0
    assert (await jobs.get(store, made.job_id)).status == "succeeded"


async def test_after_the_requeue_a_late_complete_is_refused(store: Store, builder: JobBuilder) -> None:
    """Q-9: exactly one of the two takes effect, whichever comes first."""
    made = await builder.stale()
    assert await sweeping.expire_leases(store) == 1
    before = await contents(store)
    with pytest.raises(LeaseLost):
        await builder.ended(made, endings.Complete(made.job_id, made.token))
    assert await contents(store) == before
    assert (await jobs.get(store, made.job_id)).status == "queued"
