"""cancel_ack: the holder's word that a job has ended as asked."""

from __future__ import annotations

import pytest

from sluicegate.errors import Conflict
from sluicegate.store import cancellation, events, sweeping
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents, kinds
from tests.support.job_builder import JobBuilder, Made


async def acknowledge(store: Store, made: Made) -> list[list[str]]:
    return await store.run("cancel_ack", [(made.job_id, made.token, "stopped", "")], worker=made.worker)


async def test_the_worker_obeyed(store: Store, builder: JobBuilder) -> None:
    """C-5: cancelled, finishedAt set, owner and lease cleared; C-3, C-7: on record, with the receipt."""
    made = await builder.running()
    asked = await cancellation.cancel(store, made.job_id, actor="ann", reason="not needed")
    before = await contents(store)
    receipt = {"survivors": [], "signals": [{"signal": "SIGINT", "processes": 2}]}
    job = await cancellation.acknowledge(
        store, made.job_id, worker_id="worker-1", lease_token=made.token, message="stopped", receipt=receipt
    )
    after = await contents(store)
    assert changed(before, after) == {
        f"job:{made.job_id}", f"job:{made.job_id}:events", "lane:0|work|||+w", "lanes", "leases",
        "status:running", "status:cancelled", "counters", "events",
    }  # fmt: skip
    assert (job.status, job.claimed_by, job.lease_expires_at) == ("cancelled", None, None)
    assert job.finished_at is not None
    assert await kinds(store, made.job_id) == ["job.claimed", "job.cancel.requested", "job.cancelled"]
    last = (await events.page(store, made.job_id))[-1].payload
    assert last == {
        "kind": "job.cancelled", "workerId": "worker-1", "message": "stopped", "receipt": receipt,
        "cancelRequestedAt": asked.cancel_requested_at, "cancelRequestedByUserId": "ann",
        "cancelReason": "not needed",
    }  # fmt: skip


async def test_without_a_request_there_is_nothing_to_acknowledge(store: Store, builder: JobBuilder) -> None:
    """C-5: only with a request pending."""
    made = await builder.running()
    await fences.refuses(store, lambda: acknowledge(store, made), "STATE_CONFLICT running")
    with pytest.raises(Conflict) as refused:
        await cancellation.acknowledge(store, made.job_id, worker_id="worker-1", lease_token=made.token)
    assert refused.value.code == "job_state_conflict"


@pytest.mark.parametrize("case", fences.cases("cancel"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    """C-5: anyone else is refused, also after the end."""
    made = await case.before(builder)
    await fences.refuses(store, lambda: acknowledge(store, made), case.word)


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    """C-5: again by the same worker is fine."""
    made = await builder.cancelled()
    before = await contents(store)
    assert await acknowledge(store, made) == [["REPEATED"]]
    assert await contents(store) == before


async def test_a_late_word_after_the_cancel_call_ended_the_job(store: Store, builder: JobBuilder) -> None:
    """C-4, C-5: the lease ran out, the call ended the job, and then its worker says the same."""
    made = await builder.cancelling()
    await builder.lease_over(made)
    await cancellation.cancel(store, made.job_id, actor="ann")
    before = await contents(store)
    assert await acknowledge(store, made) == [["REPEATED"]]
    assert await acknowledge(store, made._replace(worker="worker-2")) == [["LEASE_LOST"]]
    assert await contents(store) == before


async def test_a_late_word_counts_while_nobody_swept(store: Store, builder: JobBuilder) -> None:
    """Q-9, C-5."""
    made = await builder.cancelling()
    await builder.lease_over(made)
    assert await acknowledge(store, made) == [["OK"]]
    assert await sweeping.expire_leases(store) == 0
