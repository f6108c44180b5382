"""fail: retried after a backoff while attempts are left, unless it cannot help or nobody wants it."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from sluicegate import keys
from sluicegate.errors import LeaseLost
from sluicegate.store import dead_letters, endings, events, jobs, sweeping
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents, fields, kinds
from tests.support.job_builder import JobBuilder, Made, now_ms
from tests.support.wait import until

BACKOFF = {"base_ms": 1000, "factor": 2, "cap_ms": 5000, "jitter": 0.2}


async def fail(store: Store, made: Made, *, random: float = 0.5, **rest: object) -> list[str]:
    values = {"message": "broken", "class": "", "retryable": 1} | rest
    item = (made.job_id, made.token, values["message"], values["class"], values["retryable"], random)
    return (await store.run("fail", [item], worker=made.worker, **BACKOFF))[0]  # type: ignore[no-any-return]


async def test_a_retryable_failure_waits_for_its_next_attempt(store: Store, builder: JobBuilder) -> None:
    """Q-7: back to queued, the number of the next attempt, not claimable before its time."""
    made = await builder.running()
    before = await contents(store)
    earliest = await now_ms(store) + 1000
    assert await fail(store, made, **{"class": "flaky"}) == ["OK"]
    after = await contents(store)
    assert changed(before, after) == {
        f"job:{made.job_id}", f"job:{made.job_id}:events", "lane:0|work|||+w", "lanes", "leases", "delayed",
        "status:running", "status:queued", "counters", "events", f"bell:{builder.work.id}",
    }  # fmt: skip
    due = int(after["delayed"][made.job_id])
    assert earliest <= due <= await now_ms(store) + 1000
    stored = await fields(store, made.job_id)
    assert stored.pop("updated_at") == after["status:queued"][made.job_id]
    assert stored == {
        "status": "queued", "attempt": "2", "token": "1", "next_attempt_at": str(due), "error": "broken",
        "failure_class": "flaky", "ended": "1:fail:worker-1",
    }  # fmt: skip
    assert await kinds(store, made.job_id) == ["job.claimed", "job.retry_scheduled"]
    assert after["counters"]["retries:failure"] == "1"
    assert await builder.claim() == []


async def test_the_next_attempt_begins_when_it_is_due(store: Store, builder: JobBuilder) -> None:
    """Q-7: claimed within 100 ms after its time by whoever looks, without a sweeper."""
    made = await builder.running()
    job = await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    assert job.next_attempt_at is not None
    (again,) = await until(builder.claim, "the backoff is over", pause=0.001)
    assert (again.id, again.attempt, again.lease_token) == (made.job_id, 2, "2")
    assert (again.next_attempt_at, again.error_message) == (None, "broken")


@pytest.mark.parametrize(
    ("attempt", "random", "wait"),
    [
        *((1, 0.5, 1000), (2, 0.5, 2000), (3, 0.5, 4000), (4, 0.5, 5000), (19, 0.5, 5000)),
        *((1, 0.0, 800), (1, 1.0, 1200), (3, 0.25, 3600), (4, 0.0, 4000), (4, 1.0, 5000)),
    ],
)
async def test_the_wait_grows_varies_and_has_a_cap(
    store: Store, builder: JobBuilder, attempt: int, random: float, wait: int
) -> None:
    """Q-7: base, factor, jitter; and never longer than the cap."""
    made = await builder.running(max_attempts=20)
    await store.command("HSET", keys.job(made.job_id), "attempt", attempt)
    earliest = await now_ms(store) + wait
    assert await fail(store, made, random=random) == ["OK"]
    due = int(await store.command("ZSCORE", keys.DELAYED, made.job_id))
    assert earliest <= due <= await now_ms(store) + wait


async def test_without_a_backoff_it_waits_in_its_lane(store: Store, builder: JobBuilder) -> None:
    store.settings = msgspec.structs.replace(store.settings, retry_backoff_base_seconds=0)
    made = await builder.running()
    job = await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    assert (job.status, job.next_attempt_at) == ("queued", None)
    assert [each.id for each in await builder.claim()] == [made.job_id]


async def test_no_attempt_left_is_a_dead_letter(store: Store, builder: JobBuilder) -> None:
    """Q-8: with everything that an operator needs to judge it, and never claimed again by itself."""
    made = await builder.running(max_attempts=1, repository="host/a/b", priority=5)
    before = await contents(store)
    assert await fail(store, made, **{"class": "flaky"}) == ["OK"]
    after = await contents(store)
    lane = "5|work|host/a/b||"
    assert changed(before, after) == {
        f"job:{made.job_id}", f"job:{made.job_id}:events", f"lane:{lane}+w", "lanes", "leases", "dead",
        "status:running", "status:dead_letter", "counters", "events",
    }  # fmt: skip
    (letter,), cursor = await dead_letters.listing(store)
    assert cursor is None
    assert (letter.job_id, letter.type, letter.repository, letter.lane) == (
        made.job_id, "work", "host/a/b", lane,
    )  # fmt: skip
    assert (letter.last_error, letter.failure_class, letter.attempts) == ("broken", "flaky", 1)
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.attempt, job.error_message, job.failure_class) == (
        "dead_letter", 1, "broken", "flaky",
    )  # fmt: skip
    assert job.finished_at is not None
    assert await kinds(store, made.job_id) == ["job.claimed", "job.dead_lettered"]
    assert (after["counters"]["finished:dead_letter"], after["counters"]["dead_letters:failure"]) == (
        "1",
        "1",
    )
    assert await sweeping.promote_due(store) == 0
    assert await builder.claim() == []


async def test_an_unnamed_failure_is_unclassified(store: Store, builder: JobBuilder) -> None:
    """Q-8."""
    made = await builder.running(max_attempts=1)
    assert await fail(store, made) == ["OK"]
    assert (await dead_letters.listing(store))[0][0].failure_class == "unclassified"


async def test_each_attempt_is_used_before_the_job_is_dead(store: Store, builder: JobBuilder) -> None:
    """Q-7, Q-8: three attempts are three, counted from 1."""
    store.settings = msgspec.structs.replace(store.settings, retry_backoff_base_seconds=0)
    made = await builder.waiting()
    for attempt in (1, 2, 3):
        (job,) = await builder.claim()
        assert (job.id, job.attempt) == (made.job_id, attempt)
        await endings.finish_one(store, "worker-1", endings.Fail(job.id, attempt, f"broken {attempt}"))
    assert (await jobs.get(store, made.job_id)).status == "dead_letter"
    found = [event.payload or {} for event in await events.page(store, made.job_id)]
    assert [payload["kind"] for payload in found] == [
        "job.enqueued", *itertools.chain(*[("job.claimed", "job.retry_scheduled")] * 2), "job.claimed",
        "job.dead_lettered",
    ]  # fmt: skip
    assert found[2]["error"] == "broken 1"


async def test_what_cannot_help_is_not_retried(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    assert await fail(store, made, retryable=0, **{"class": "deterministic_policy"}) == ["OK"]
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.attempt, job.claimed_by) == ("failed", 1, "worker-1")
    assert (job.error_message, job.failure_class) == ("broken", "deterministic_policy")
    assert await kinds(store, made.job_id) == ["job.claimed", "job.failed"]


@pytest.mark.parametrize(
    ("retryable", "failure_class", "status"),
    [
        (1, "", "cancelled"),
        (1, "run_timeout", "cancelled"),
        (0, "run_timeout", "cancelled"),
        (0, "", "failed"),
    ],
)
async def test_after_a_cancel_nothing_is_retried(
    store: Store, builder: JobBuilder, retryable: int, failure_class: str, status: str
) -> None:
    """C-6: a retryable failure and a run_timeout end as cancelled; a non-retryable one stays failed."""
    made = await builder.cancelling(max_attempts=5)
    assert await fail(store, made, retryable=retryable, **{"class": failure_class}) == ["OK"]
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.cancel_requested_by_user_id) == (status, "someone")
    assert (job.claimed_by is None) == (status == "cancelled")
    assert (await kinds(store, made.job_id))[-1] == f"job.{status}"
    assert await builder.claim() == []


async def test_out_of_time_is_not_retried(store: Store, builder: JobBuilder) -> None:
    made = await builder.running(max_run_ms=60_000)
    assert await fail(store, made, retryable=0, **{"class": "run_timeout"}) == ["OK"]
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.failure_class) == ("failed", "run_timeout")


@pytest.mark.parametrize("case", fences.cases("fail"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)

    async def call() -> list[list[str]]:
        return [await fail(store, made)]

    await fences.refuses(store, call, case.word)


@pytest.mark.parametrize("state", ["failed", "dead_letter"])
async def test_twice_is_once(store: Store, builder: JobBuilder, state: str) -> None:
    made = await builder.made(state)
    before = await contents(store)
    assert await fail(store, made, retryable=1) == ["REPEATED"]
    assert await contents(store) == before


async def test_a_repeated_failure_is_known_while_the_next_attempt_runs(
    store: Store, builder: JobBuilder
) -> None:
    """The job remembers its last ended attempt: the answer to a lost reply, whatever came after."""
    made = await builder.running()
    await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    (again,) = await until(builder.claim, "the backoff is over")
    before = await contents(store)
    assert await fail(store, made) == ["REPEATED"]
    with pytest.raises(LeaseLost):
        await builder.ended(made, endings.Complete(made.job_id, made.token))
    assert await contents(store) == before
    assert again.lease_token == "2"


async def test_a_late_failure_counts_while_nobody_requeued(store: Store, builder: JobBuilder) -> None:
    """Q-9: the clock alone takes no lease away."""
    made = await builder.stale()
    assert await fail(store, made) == ["OK"]
    assert await sweeping.expire_leases(store) == 0
    assert (await fields(store, made.job_id))["attempt"] == "2"
