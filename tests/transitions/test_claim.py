"""claim: the next attempts, each opened once, with everything that hangs on it."""

from __future__ import annotations

import asyncio

import pytest

from sluicegate import keys
from sluicegate.errors import StoreUninitialised
from sluicegate.store import cancellation, claims, endings, jobs, pause
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents, fields, kinds
from tests.support.job_builder import JobBuilder, now_ms, past

LANE = "0|work|||"


async def registered(store: Store, builder: JobBuilder) -> None:
    """Make the builder's policy known, so that a claim writes only what a claim writes."""
    assert await builder.claim() == []


async def test_an_attempt_begins(store: Store, builder: JobBuilder) -> None:
    await registered(store, builder)
    made = await builder.waiting()
    before = await contents(store)
    (job,) = await builder.claim(lease_ms=5000, request_id="r")
    after = await contents(store)
    policy = builder.everything.id
    assert changed(before, after) == {
        f"job:{made.job_id}", f"job:{made.job_id}:events", f"lane:{LANE}+w", "lanes", "ready",
        f"ready:{policy}", "leases", "status:queued", "status:running", "claim:worker-1", "counters",
        "events",
    }  # fmt: skip
    assert (job.id, job.status, job.claimed_by, job.lease_token, job.attempt) == (
        made.job_id, "running", "worker-1", "1", 1,
    )  # fmt: skip
    stored = after[f"job:{made.job_id}"]
    assert stored["status"] == "running"
    assert (stored["owner"], stored["token"]) == ("worker-1", "1")
    assert stored["started_at"] == after["status:running"][made.job_id]
    assert int(after["leases"][made.job_id]) == int(stored["started_at"]) + 5000
    (group,) = after[f"lane:{LANE}+w"]["groups"].values()
    assert group["pending"] == {stored["entry"].removeprefix("+w"): ("worker", 1)}
    assert after["lanes"] == {f"{LANE}+w": "0"}
    assert not {"ready", f"ready:{policy}", "status:queued"} & after.keys()
    assert after["counters"] == {"enqueued": "1", "claimed": "1"}
    assert await kinds(store, made.job_id) == ["job.claimed"]


async def test_the_job_is_answered_as_it_is_stored(store: Store, builder: JobBuilder) -> None:
    """A claim's answer and a read right after it show the same job."""
    for state in ("waiting", "returned"):
        await builder.made(state, type=state, payload={"numbers": [], "big": 2**60}, max_run_ms=60_000)
    for job in await builder.claim(limit=2):
        token, job.lease_token = job.lease_token, None
        assert token is not None
        assert job == await jobs.get(store, job.id)
        assert job.payload == {"numbers": [], "big": 2**60}


async def test_nothing_waits_nothing_is_claimed(store: Store, builder: JobBuilder) -> None:
    await registered(store, builder)
    await builder.delayed()
    await builder.running()
    before = await contents(store)
    assert await builder.claim(request_id="again") == []
    assert await contents(store) == before


async def test_each_claim_gives_a_new_token(store: Store, builder: JobBuilder) -> None:
    made = await builder.returned()
    (job,) = await builder.claim(worker="worker-2")
    assert (job.id, job.lease_token, job.attempt, job.releases) == (made.job_id, "2", 1, 1)
    assert job.claimed_by == "worker-2"


@pytest.mark.parametrize(
    "state", ["delayed", "running", "stale", "cancelling", "succeeded", "failed", "cancelled", "dead_letter"]
)
async def test_only_waiting_jobs_are_claimed(store: Store, builder: JobBuilder, state: str) -> None:
    """C-1, Q-8, Q-9: whoever is cancelled, dead or held by somebody is not given out."""
    await builder.made(state)
    await registered(store, builder)
    before = await contents(store)
    assert await builder.claim(limit=10, request_id="again") == []
    assert await contents(store) == before


async def test_a_cancelled_job_leaves_its_lane(store: Store, builder: JobBuilder) -> None:
    """C-1: cancelled while it waits, it is never claimed, and holds up nobody."""
    first, second = await builder.waiting(), await builder.waiting()
    await cancellation.cancel(store, first.job_id, actor="someone")
    assert [job.id for job in await builder.claim(limit=5)] == [second.job_id]


async def test_a_limit_is_kept_across_lanes(store: Store, builder: JobBuilder) -> None:
    for at in range(12):
        await builder.waiting(type=f"t{at % 3}")
    assert len(await builder.claim(limit=5)) == 5
    counts = await jobs.counts(store)
    assert (counts.queued, counts.running) == (7, 5)
    assert len(await builder.claim(limit=100)) == 7


async def test_a_repeated_request_gets_the_same_attempts(store: Store, builder: JobBuilder) -> None:
    """Q-16: the reply was lost; the same request id returns the same jobs and tokens, and writes nothing."""
    for _ in range(3):
        await builder.waiting()
    first = await builder.claim(limit=2, request_id="lost")
    before = await contents(store)
    again = await builder.claim(limit=2, request_id="lost")
    assert [(job.id, job.lease_token) for job in again] == [(job.id, job.lease_token) for job in first]
    assert again == first
    assert await contents(store) == before


async def test_a_repeated_request_leaves_out_what_has_ended(store: Store, builder: JobBuilder) -> None:
    """Q-16: a job that was completed or requeued meanwhile is not given out a second time."""
    for _ in range(4):
        await builder.waiting()
    first = await builder.claim(limit=4, request_id="lost")
    done, released, requeued, running = first
    await endings.finish(store, "worker-1", [endings.Complete(done.id, 1), endings.Release(released.id, 1)])
    await endings.finish(store, "worker-1", [endings.Release(requeued.id, 1)])
    assert len(await builder.claim(worker="worker-2", limit=1)) == 1
    assert [job.id for job in await builder.claim(limit=4, request_id="lost")] == [running.id]


async def test_a_short_lease_does_not_shorten_the_memory(store: Store, builder: JobBuilder) -> None:
    """Q-16: the reply may be missed for longer than the lease; while nobody requeued it is the same."""
    made = [await builder.waiting() for _ in range(2)]
    (job,) = await builder.claim(lease_ms=1, request_id="lost")
    await past(store, int(await store.command("ZSCORE", keys.LEASES, job.id)))
    (again,) = await builder.claim(lease_ms=1, request_id="lost")
    assert (again.id, again.lease_token) == (made[0].job_id, "1")


async def test_another_request_or_worker_gets_other_jobs(store: Store, builder: JobBuilder) -> None:
    """Q-16: an id that only begins like the last one is another request."""
    made = [await builder.waiting() for _ in range(4)]
    claimed = [
        await builder.claim(request_id="a b"),
        await builder.claim(request_id="a"),
        await builder.claim(request_id="a b", worker="worker-2"),
        await builder.claim(request_id="a 0:1"),
    ]
    assert [[job.id for job in each] for each in claimed] == [[each.job_id] for each in made]


async def test_an_empty_answer_is_not_remembered(store: Store, builder: JobBuilder) -> None:
    assert await builder.claim(request_id="r") == []
    made = await builder.waiting()
    assert [job.id for job in await builder.claim(request_id="r")] == [made.job_id]


async def test_while_paused_a_claim_writes_nothing(store: Store, builder: JobBuilder) -> None:
    """P-1, P-4: the guard stands before everything, due jobs, stale leases and unknown policies included."""
    await builder.waiting()
    await builder.stale(type="other")
    await builder.until_due(await builder.delayed(delay_ms=1))
    state = await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    before = await contents(store)
    for request in ("one", "two"):
        claimed = await claims.claim(
            store, builder.everything, worker_id="w", lease_ms=1000, limit=10, request_id=request
        )
        assert claimed.jobs == []
        assert claimed.system == state
    assert await contents(store) == before


async def test_a_repeated_request_is_answered_while_paused(store: Store, builder: JobBuilder) -> None:
    """P-4: the attempt was opened before the pause; its reply was lost."""
    await builder.waiting()
    first = await builder.claim(request_id="lost")
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    before = await contents(store)
    assert await builder.claim(request_id="lost") == first
    assert await contents(store) == before


@pytest.mark.damages_the_store
@pytest.mark.parametrize(
    "damage",
    [
        ("DEL", keys.PAUSE), ("HDEL", keys.PAUSE, "paused"), ("HDEL", keys.PAUSE, "version"),
        ("HSET", keys.PAUSE, "version", "x"),
    ],
    ids=["gone", "torn", "without a version", "with half a version"],
)  # fmt: skip
async def test_without_a_pause_record_nothing_is_claimed(
    store: Store, builder: JobBuilder, damage: tuple[str, ...]
) -> None:
    """P-11: a record that cannot be read is not "not paused". One without a version was taken for it: the
    attempts were opened, and nobody could be told of them."""
    await builder.waiting()
    await registered_with_nothing(store, builder)
    await store.command(*damage)
    before = await contents(store)
    with pytest.raises(StoreUninitialised):
        await builder.claim()
    assert await contents(store) == before


async def registered_with_nothing(store: Store, builder: JobBuilder) -> None:
    """Make the policy known although something waits."""
    await builder.claim(limit=0)


async def test_the_next_due_time_comes_along(store: Store, builder: JobBuilder) -> None:
    """Q-7: the worker's own timer wakes it, sweeper or no sweeper."""
    await builder.delayed(delay_ms=500_000)
    due = await now_ms(store) + 300_000
    await builder.waiting(due_ms=due)
    claimed = await claims.claim(
        store, builder.everything, worker_id="w", lease_ms=1000, limit=1, request_id="r"
    )
    assert (claimed.jobs, claimed.next_due_ms) == ([], due)
    assert claimed.now_ms <= await now_ms(store)


async def test_a_claim_promotes_what_is_due(store: Store, builder: JobBuilder) -> None:
    """Q-7: without any sweeper a due job is claimed, and its next attempt time is gone."""
    made = await builder.delayed(delay_ms=2)
    await builder.until_due(made)
    (job,) = await builder.claim()
    assert (job.id, job.next_attempt_at) == (made.job_id, None)
    assert not {"next_attempt_at", "waiting_since"} & (await fields(store, made.job_id)).keys()


async def test_what_is_left_wakes_the_next_worker(store: Store, builder: JobBuilder) -> None:
    """The baton: a claim that leaves ready work for its policy pushes one token, and only one."""
    await registered(store, builder)
    bell = keys.bell(builder.everything.id)
    await builder.enqueued(*(builder.submission() for _ in range(3)))
    assert await store.command("LPOP", bell) == "1"
    await builder.claim(request_id="one")
    assert await store.command("LRANGE", bell, 0, -1) == ["1"]
    await builder.claim(request_id="two")
    assert await store.command("LRANGE", bell, 0, -1) == ["1"]
    await store.command("LPOP", bell)
    await builder.claim(request_id="three")
    assert await store.command("LLEN", bell) == 0


async def test_what_is_soon_due_wakes_the_next_worker(store: Store, builder: JobBuilder) -> None:
    """Q-7: the worker that had a timer for it is busy now; an idle one has to learn the time."""
    await registered(store, builder)
    bell = keys.bell(builder.everything.id)
    await builder.waiting()
    await builder.delayed(delay_ms=1500)
    await store.command("DEL", bell)
    await builder.claim(request_id="one")
    assert await store.command("LLEN", bell) == 1
    await store.command("DEL", bell)
    await builder.claim(request_id="two")
    assert await store.command("LLEN", bell) == 0, "who gets nothing wakes nobody"


@pytest.mark.damages_the_store
async def test_an_entry_without_its_job_holds_up_nobody(store: Store, builder: JobBuilder) -> None:
    lost, kept = await builder.waiting(), await builder.waiting()
    await store.command("DEL", keys.job(lost.job_id))
    assert [job.id for job in await builder.claim(limit=5)] == [kept.job_id]


@pytest.mark.damages_the_store
@pytest.mark.parametrize("state", ["waiting", "running", "succeeded"])
async def test_an_entry_of_a_job_that_stands_elsewhere_runs_nothing_twice(
    store: Store, builder: JobBuilder, state: str
) -> None:
    """Such an entry once gave out a job that was running, or had ended, again."""
    made = await builder.made(state, type="other")
    kept = await builder.waiting()
    await store.command("XADD", keys.lane(LANE, "+w"), "*", "job", made.job_id)
    await store.command("HINCRBY", keys.LANES, f"{LANE}+w", 1)
    claimed = [job.id for job in await builder.claim(builder.work, limit=5)]
    assert claimed == [kept.job_id]
    assert await store.command("XLEN", keys.lane(LANE, "+w")) == 1


@pytest.mark.damages_the_store
async def test_a_lane_that_counts_too_many_holds_up_nobody(store: Store, builder: JobBuilder) -> None:
    """A wrong count once ended the claim in its middle, with jobs delivered and no lease."""
    one, other = await builder.waiting(), await builder.waiting(type="other")
    await store.command("HINCRBY", keys.LANES, f"{LANE}+w", 2)
    claimed = await builder.claim(limit=5)
    assert {job.id for job in claimed} == {one.job_id, other.job_id}
    assert await store.command("ZCARD", keys.LEASES) == 2


async def test_many_workers_share_the_work(store: Store, builder: JobBuilder) -> None:
    """Each job is claimed once, whoever asks at the same time."""
    ids = await builder.enqueued(*(builder.submission(f"t{at % 7}") for at in range(200)))
    claimed = await asyncio.gather(
        *(builder.claim(worker=f"w{at % 10}", limit=1 + at % 9, request_id=f"r{at}") for at in range(60))
    )
    found = [job.id for jobs_of_one in claimed for job in jobs_of_one]
    assert sorted(found) == sorted(ids)
