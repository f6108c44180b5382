"""append_events: a history grows under the lease, in order, and its logs only up to a limit."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from sluicegate import keys
from sluicegate.errors import Invalid, LeaseLost
from sluicegate.model import Event, NewEvent
from sluicegate.store import events, sweeping
from sluicegate.store.connection import Store
from sluicegate.store.positions import position
from tests.support import fences
from tests.support.contents import changed, contents, kinds
from tests.support.job_builder import JobBuilder, Made


def log(text: str) -> NewEvent:
    return NewEvent(message=text, payload={"kind": "log"})


async def append(store: Store, made: Made, *new: NewEvent) -> list[Event]:
    return await events.append(store, made.worker, made.job_id, made.token, new)


async def test_a_history_grows_in_order(store: Store, builder: JobBuilder) -> None:
    """Q-5: level, message and payload come back as they were, ids rise, nothing else changes."""
    made = await builder.running()
    before = await contents(store)
    new = [
        NewEvent(level="warn", message="half way", payload={"list": [], "big": 2**60, "text": "é\u0000"}),
        NewEvent(message="nearly there"),
    ]
    appended = await append(store, made, *new)
    assert changed(before, await contents(store)) == {f"job:{made.job_id}:events", "events"}
    assert [(event.level, event.message, event.payload) for event in appended] == [
        (event.level, event.message, event.payload) for event in new
    ]
    page = await events.page(store, made.job_id)
    assert page[2:] == appended
    places = [position(event.id) for event in page]
    assert places == sorted(set(places))


async def test_a_repeated_batch_stands_once(store: Store, builder: JobBuilder) -> None:
    """Q-5: a reply was lost and the batch is sent again, with what came meanwhile; attempts count apart."""
    made, other = await builder.running(type="a"), await builder.running(type="b")
    batch = [
        events.Append(each.job_id, each.token, NewEvent(message=f"{seq}"), seq)
        for seq in (1, 2, 5)
        for each in (made, other)
    ]
    await events.append_many(store, "worker-1", batch[:4])
    before = await contents(store)
    assert await events.append_many(store, "worker-1", batch[:4]) == [None] * 4
    assert changed(before, await contents(store)) == {"events"}
    results = await events.append_many(store, "worker-1", batch)
    assert [type(result) for result in results] == [type(None)] * 4 + [Event] * 2
    for each in (made, other):
        assert [event.message for event in (await events.page(store, each.job_id))[2:]] == ["1", "2", "5"]
    await store.run("release", [(made.job_id, 1, "", 0.5)], worker="worker-1", max_releases=20, **BACKOFF)
    await builder.claim()
    (again,) = await events.append_many(store, "worker-1", [batch[0]._replace(token=2)])
    assert isinstance(again, Event)


async def test_a_repeated_log_event_counts_once(store: Store, builder: JobBuilder) -> None:
    """Q-6: what was appended before does not use up the job's log limit."""
    store.settings = msgspec.structs.replace(store.settings, job_log_max_entries=3)
    made = await builder.running()
    for seq in (1, 1, 1, 2, 2, 3, 4):
        await events.append_many(
            store, "worker-1", [events.Append(made.job_id, made.token, log(f"{seq}"), seq)]
        )
    shown = await events.page(store, made.job_id)
    assert [event.message for event in shown[2:5]] == ["1", "2", "3"]
    assert [(event.payload or {})["kind"] for event in shown[5:]] == ["events.truncated"]


@pytest.mark.parametrize("case", fences.cases("append"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)
    item = (made.job_id, made.token, "info", "hello", "", 0, 1)
    limits = {"max_log_bytes": 1000, "max_log_entries": 10}
    await fences.refuses(
        store, lambda: store.run("append_events", [item], worker=made.worker, **limits), case.word
    )


async def test_a_batch_is_judged_job_by_job(store: Store, builder: JobBuilder) -> None:
    held, lost = await builder.running(type="a"), await builder.succeeded(type="b")
    batch = [events.Append(made.job_id, made.token, NewEvent(message="m")) for made in (held, lost, held)]
    results = await events.append_many(store, "worker-1", batch)
    assert [type(result) for result in results] == [Event, LeaseLost, Event]
    assert await kinds(store, lost.job_id) == ["job.claimed", "job.succeeded"]


async def test_past_the_limit_of_entries_logs_are_dropped_visibly(store: Store, builder: JobBuilder) -> None:
    """Q-6: one `events.truncated`, whatever comes after it; everything else still goes in."""
    store.settings = msgspec.structs.replace(store.settings, job_log_max_entries=3)
    made = await builder.running()
    assert len(await append(store, made, *(log(f"line {at}") for at in range(5)))) == 3
    assert await append(store, made, log("more")) == []
    assert len(await append(store, made, NewEvent(message="no log"))) == 1
    found = await kinds(store, made.job_id)
    assert found == ["job.claimed", *["custom"] * 3, "events.truncated", "custom"]
    shown = (await events.page(store, made.job_id))[5]
    assert shown.payload == {"kind": "events.truncated", "limitBytes": 4194304, "limitEntries": 3}


async def test_past_the_limit_of_bytes_logs_are_dropped_visibly(store: Store, builder: JobBuilder) -> None:
    """Q-6: small ones too, once the limit was passed, in this attempt and the next."""
    store.settings = msgspec.structs.replace(store.settings, job_log_max_bytes=150)
    made = await builder.running()
    assert len(await append(store, made, log("a" * 100))) == 1
    assert await append(store, made, log("b" * 100), log("c")) == []
    assert await append(store, made, log("d")) == []
    await store.run("release", [(made.job_id, 1, "", 0.5)], worker="worker-1", max_releases=20, **BACKOFF)
    await builder.claim()
    assert await append(store, made._replace(token=2), log("e")) == []
    assert (await kinds(store, made.job_id)).count("events.truncated") == 1


async def test_concurrent_workers_see_one_truncation(store: Store, builder: JobBuilder) -> None:
    """70-51: one `events.truncated` per job, whatever arrives at once; what is no log still goes in."""
    store.settings = msgspec.structs.replace(store.settings, job_log_max_entries=5)
    jobs = [await builder.running(type="a"), await builder.running(type="b")]
    batches = [
        [events.Append(made.job_id, made.token, log(f"{number}")) for made in jobs for number in range(3)]
        for _ in range(10)
    ]
    await asyncio.gather(*(events.append_many(store, "worker-1", batch) for batch in batches))
    for made in jobs:
        assert len(await append(store, made, NewEvent(message="no log"))) == 1
        found = await kinds(store, made.job_id)
        assert found == ["job.claimed", *["custom"] * 5, "events.truncated", "custom"]


BACKOFF = {"base_ms": 0, "factor": 1, "cap_ms": 0, "jitter": 0}


async def test_an_event_too_large_is_refused_before_the_store(store: Store, builder: JobBuilder) -> None:
    """Bytes count, not characters."""
    store.settings = msgspec.structs.replace(store.settings, max_event_bytes=100)
    made = await builder.running()
    before = await contents(store)
    for text in ("a" * 101, "é" * 51):
        with pytest.raises(Invalid):
            await append(store, made, NewEvent(message=text))
    assert await contents(store) == before
    assert len(await append(store, made, NewEvent(message="é" * 50))) == 1


async def test_a_clock_that_was_set_back_keeps_the_order(store: Store, builder: JobBuilder) -> None:
    """70-45: the first stored event follows `job.enqueued`, whose id is <createdAt>-0."""
    made = await builder.waiting()
    future = int(await store.command("HGET", keys.job(made.job_id), "created_at")) + 3_600_000
    await store.command("HSET", keys.job(made.job_id), "created_at", future)
    await builder.claim()
    await append(store, Made(made.job_id, 1), NewEvent(message="hello"))
    ids = [event.id for event in await events.page(store, made.job_id)]
    assert ids == [f"{future}-0", f"{future}-1", f"{future}-2"]


async def test_pages_lose_and_repeat_nothing(store: Store, builder: JobBuilder) -> None:
    """Q-6: after and before are exclusive, ids or times, in both directions."""
    made = await builder.running()
    await append(store, made, *(NewEvent(message=f"m{at}") for at in range(7)))
    everything = await events.page(store, made.job_id)
    assert len(everything) == 9
    found: list[Event] = []
    while page := await events.page(store, made.job_id, after=found[-1].id if found else None, limit=2):
        found += page
    assert found == everything
    found = []
    while page := await events.page(
        store, made.job_id, before=found[-1].id if found else None, sort="desc", limit=2
    ):
        found += page
    assert found == everything[::-1]
    assert await events.page(store, made.job_id, after=everything[-1].created_at) == []
    assert await events.page(store, made.job_id, before=everything[0].created_at) == []


async def test_a_late_event_goes_in_while_nobody_requeued(store: Store, builder: JobBuilder) -> None:
    made = await builder.stale()
    assert len(await append(store, made, NewEvent(message="still here"))) == 1
    await sweeping.expire_leases(store)
    with pytest.raises(LeaseLost):
        await append(store, made, NewEvent(message="too late"))
