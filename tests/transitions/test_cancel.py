"""cancel: a waiting job ends at once, a running one is asked to, an ended one is left alone."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import Conflict, NotFound
from sluicegate.model import Job
from sluicegate.store import audit, cancellation, dead_letters, events, jobs, pause, sweeping
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents, fields, kinds
from tests.support.job_builder import JobBuilder, Made, now_ms, past

LANE = "0|work|||"
TOLD = {"status:cancelled", "counters", "events", "audit"}
"""Keys that every end by a cancel touches, beside the job's own."""


async def cancel(store: Store, made: Made, reason: str | None = "not needed") -> Job:
    return await cancellation.cancel(store, made.job_id, actor="ann", reason=reason)


def of(made: Made) -> set[str]:
    return {f"job:{made.job_id}", f"job:{made.job_id}:events"}


@pytest.mark.parametrize(
    ("state", "places"),
    [
        ("waiting", {f"lane:{LANE}+w", "lanes", "ready"}),
        ("delayed", {"delayed"}),
        ("returned", {f"lane:{LANE}+r", "lanes", "ready", "ready:<work>"}),
    ],
)
async def test_a_queued_job_ends_at_once(
    store: Store, builder: JobBuilder, state: str, places: set[str]
) -> None:
    """C-1: in one transition, with finishedAt; it can never be claimed afterwards."""
    made = await builder.made(state)
    before = await contents(store)
    job = await cancel(store, made)
    after = await contents(store)
    places = {name.replace("<work>", builder.work.id) for name in places}
    assert changed(before, after) == of(made) | TOLD | places | {"status:queued"}
    assert not places & after.keys()
    assert (job.status, job.claimed_by, job.next_attempt_at) == ("cancelled", None, None)
    assert job.finished_at == job.cancel_requested_at
    assert (job.cancel_requested_by_user_id, job.cancel_reason) == ("ann", "not needed")
    assert await sweeping.promote_due(store) == 0
    assert await builder.claim() == []


async def test_a_promoted_job_ends_at_once(store: Store, builder: JobBuilder) -> None:
    """C-1: also one that was delayed at first and waits by now."""
    made = await builder.delayed(delay_ms=1)
    await builder.until_due(made)
    assert await sweeping.promote_due(store) == 1
    assert (await cancel(store, made)).status == "cancelled"
    assert "waiting_since" not in await fields(store, made.job_id)
    assert await builder.claim() == []


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_its_neighbours_keep_their_places(store: Store, builder: JobBuilder, place: int) -> None:
    """The lane's head may change with it, and with the head the lane's place among all lanes."""
    made = []
    for _ in range(3):
        made.append(await builder.waiting())
        await past(store, await now_ms(store))
    await cancel(store, made.pop(place))
    since = int((await fields(store, made[0].job_id))["entry"][2:].partition("-")[0])
    assert await store.command("ZSCORE", keys.READY, f"{LANE}+w") == str(1000 * 2**42 + since)
    assert [job.id for job in await builder.claim(limit=3)] == [each.job_id for each in made]


async def test_a_running_job_is_asked(store: Store, builder: JobBuilder) -> None:
    """C-2: the request is recorded and pushed to its worker; only the worker ends it."""
    made = await builder.running()
    before = await contents(store)
    job = await cancel(store, made)
    after = await contents(store)
    assert changed(before, after) == of(made) | {"counters", "events", "audit", "control"}
    assert (job.status, job.claimed_by, job.finished_at) == ("running", "worker-1", None)
    assert (job.cancel_requested_by_user_id, job.cancel_reason) == ("ann", "not needed")
    (pushed,) = after["control"]["entries"].values()
    assert pushed == {"kind": "cancel", "job": made.job_id, "worker": "worker-1", "token": "1"}
    assert await kinds(store, made.job_id) == ["job.claimed", "job.cancel.requested"]


async def test_a_request_and_an_end_are_on_record(store: Store, builder: JobBuilder) -> None:
    """C-3, C-7: events of the job and, as an operator's action, the audit, with actor and reason."""
    made = await builder.waiting()
    job = await cancel(store, made)
    requested, ended = (await events.page(store, made.job_id))[1:]
    by = {
        "actorUserId": "ann", "reason": "not needed", "cancelRequestedAt": job.cancel_requested_at,
        "cancelRequestedByUserId": "ann", "cancelReason": "not needed",
    }  # fmt: skip
    assert requested.payload == {"kind": "job.cancel.requested", **by}
    assert ended.payload == {"kind": "job.cancelled", **by}
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.actor_user_id, entry.reason, entry.target) == (
        "job_cancel", "request", "ann", "not needed", made.job_id,
    )  # fmt: skip


@pytest.mark.parametrize("state", ["cancelling", "cancelled"])
async def test_again_changes_nothing(store: Store, builder: JobBuilder, state: str) -> None:
    """C-4: who asked first, and why, stays."""
    made = await builder.made(state)
    before = await contents(store)
    job = await cancel(store, made, "another reason")
    assert (job.cancel_requested_by_user_id, job.cancel_reason) == ("someone", None)
    assert await contents(store) == before


@pytest.mark.parametrize("state", ["succeeded", "failed", "dead_letter"])
async def test_an_ended_job_is_refused(store: Store, builder: JobBuilder, state: str) -> None:
    """C-4: 409, and nothing written."""
    made = await builder.made(state)
    before = await contents(store)
    with pytest.raises(Conflict) as refused:
        await cancel(store, made)
    assert (refused.value.code, refused.value.extra) == ("job_state_conflict", {"jobStatus": state})
    assert await contents(store) == before


@pytest.mark.parametrize("job_id", ["0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000", "no id", "../x"])
async def test_an_unknown_job_is_not_found(store: Store, job_id: str) -> None:
    before = await contents(store)
    with pytest.raises(NotFound):
        await cancel(store, Made(job_id))
    assert await contents(store) == before


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("asked_before", [False, True])
async def test_a_stale_job_ends_at_once(
    store: Store, builder: JobBuilder, paused: bool, asked_before: bool
) -> None:
    """C-2, C-4, C-7, 70-54: nobody holds it any more; the call ends it, asked before or not, paused or not.
    Who asked first stays; who ended it is on record."""
    made = await (builder.cancelling() if asked_before else builder.running())
    await builder.lease_over(made)
    if paused:
        await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="bob")
    before = await contents(store)
    job = await cancel(store, made)
    after = await contents(store)
    assert changed(before, after) == of(made) | TOLD | {"status:running", "leases", f"lane:{LANE}+w", "lanes"}
    assert (job.status, job.claimed_by) == ("cancelled", None)
    assert await sweeping.expire_leases(store) in (0, None)
    asked_by = "someone" if asked_before else "ann"
    assert job.cancel_requested_by_user_id == asked_by
    payload = (await events.page(store, made.job_id))[-1].payload or {}
    assert (payload["actorUserId"], payload["reason"]) == ("ann", "not needed")
    assert payload["cancelRequestedByUserId"] == asked_by
    entry = (await audit.page(store))[0][0]
    assert (entry.control, entry.actor_user_id, entry.reason) == ("job_cancel", "ann", "not needed")


async def test_a_queued_job_of_a_paused_queue_ends_at_once(store: Store, builder: JobBuilder) -> None:
    """C-1 under P-1."""
    made = await builder.waiting()
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="bob")
    assert (await cancel(store, made)).status == "cancelled"


async def test_a_redriven_job_can_be_cancelled(store: Store, builder: JobBuilder) -> None:
    """C-13: redrive, then cancel: it ends."""
    made = await builder.dead_letter()
    await dead_letters.redrive(store, [made.job_id], actor="bob")
    assert (await cancel(store, made)).status == "cancelled"
    assert await builder.claim() == []


async def test_the_fields_are_in_every_representation(store: Store, builder: JobBuilder) -> None:
    """C-3: in reads, in listings and in what a claim's repetition returns."""
    await builder.waiting()
    (job,) = await builder.claim(request_id="lost")
    await cancel(store, Made(job.id, 1))
    (again,) = await builder.claim(request_id="lost")
    (listed,), _ = await jobs.listing(store, jobs.JobFilter(status="running"))
    for shown in (again, listed, await jobs.get(store, job.id)):
        assert (shown.cancel_requested_by_user_id, shown.cancel_reason) == ("ann", "not needed")
        assert shown.cancel_requested_at is not None
