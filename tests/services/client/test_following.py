"""Waiting for jobs and following their events: by push, in order, each once (Q-6, 70-58)."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from sluicegate.client import Client
from sluicegate.errors import Invalid, NotFound
from sluicegate.model import Event
from sluicegate.store.connection import Store
from tests.support import given

UNKNOWN = "01890000-0000-7000-8000-000000000000"
KINDS = ["job.enqueued", "job.claimed", "log", "log", "job.succeeded"]


async def finished(store: Store) -> str:
    """A job with two pieces of output that succeeded."""
    job = await given.running(store)
    await given.says(store, job, "one\n")
    await given.says(store, job, "two\n")
    await given.complete(store, job, result="done")
    return job.id


async def taken(client: Client, job_id: str, after: str | None = None, *, follow: bool = True) -> list[Event]:
    return [event async for event in client.events(job_id, after, follow=follow)]


def kinds(events: list[Event]) -> list[str]:
    return [(event.payload or {})["kind"] for event in events]


async def test_waiting_for_an_ended_job_returns_at_once(client: Client, store: Store) -> None:
    job_id = await finished(store)
    job = await client.wait(job_id, 5)
    assert (job.status, job.result_summary) == ("succeeded", "done")


async def test_waiting_learns_of_the_end_by_push(client: Client, store: Store) -> None:
    job = await given.running(store)
    waiting = asyncio.create_task(client.wait(job.id))
    # Some output first: an event that is not the end must not be taken for it.
    await given.says(store, job, "working\n")
    await asyncio.wait([waiting], timeout=0.3)
    assert not waiting.done()
    ended = time.monotonic()
    await given.complete(store, job, result="done")
    assert (await waiting).result_summary == "done"
    assert time.monotonic() - ended < 1.0, "learnt by looking from time to time, not by push"


async def test_every_end_is_an_end(client: Client) -> None:
    job = await client.enqueue(type="noop")
    waiting = asyncio.create_task(client.wait(job.id))
    await client.cancel(job.id)
    assert (await waiting).status == "cancelled"


async def test_waiting_has_a_limit_and_leaves_the_job_alone(client: Client) -> None:
    job = await client.enqueue(type="noop")
    with pytest.raises(TimeoutError):
        await client.wait(job.id, 0.2)
    assert await client.get(job.id) == job


async def test_many_can_wait_for_one_job(client: Client, store: Store) -> None:
    job = await given.running(store)
    waiting = [asyncio.create_task(client.wait(job.id)) for _ in range(20)]
    await given.complete(store, job)
    assert {(await each).status for each in waiting} == {"succeeded"}


async def test_the_history_comes_in_order_and_ends(client: Client, store: Store) -> None:
    job_id = await finished(store)
    events = await taken(client, job_id)
    assert kinds(events) == KINDS
    assert [event.payload["text"] for event in events if event.payload and "text" in event.payload] == [
        "one\n",
        "two\n",
    ]
    assert await taken(client, job_id, follow=False) == events


@pytest.mark.parametrize("follow", [True, False])
async def test_events_go_on_behind_an_id(client: Client, store: Store, follow: bool) -> None:
    job_id = await finished(store)
    events = await taken(client, job_id)
    for at, event in enumerate(events):
        assert await taken(client, job_id, event.id, follow=follow) == events[at + 1 :]


async def test_events_go_on_behind_a_time(client: Client, store: Store) -> None:
    job_id = await finished(store)
    events = await taken(client, job_id)
    moment = events[1].created_at
    assert await taken(client, job_id, moment) == [event for event in events if event.created_at > moment]


async def test_a_long_history_is_read_whole(client: Client, store: Store) -> None:
    """Q-6: more than a page holds, without gap or repeat."""
    job = await given.running(store)
    await asyncio.gather(*(given.says(store, job, f"{number}\n") for number in range(1100)))
    await given.complete(store, job)
    for follow in (True, False):
        events = await taken(client, job.id, follow=follow)
        assert len(events) == 1103
        assert len({event.id for event in events}) == 1103


async def test_events_are_followed_as_they_come(client: Client, store: Store) -> None:
    job = await given.running(store)
    async with aclosing(client.events(job.id)) as events:
        seen = [await anext(events), await anext(events)]
        await given.says(store, job, "one\n")
        seen.append(await asyncio.wait_for(anext(events), 5))
        await given.says(store, job, "two\n")
        seen.append(await asyncio.wait_for(anext(events), 5))
        await given.complete(store, job)
        seen += [event async for event in events]
    assert kinds(seen) == KINDS


async def test_now_leaves_out_what_has_happened(client: Client, store: Store) -> None:
    job = await given.running(store)
    await given.says(store, job, "before\n")
    async with aclosing(client.events(job.id, "now")) as events:
        first = asyncio.ensure_future(anext(events))
        await asyncio.wait([first], timeout=0.3)
        assert not first.done()
        await given.says(store, job, "after\n")
        event = await asyncio.wait_for(first, 5)
        assert event.payload is not None and event.payload["text"] == "after\n"


async def test_a_follower_may_leave_in_the_middle(client: Client, store: Store) -> None:
    job = await given.running(store)
    async for event in client.events(job.id):
        assert event.job_id == job.id
        break
    assert (await client.get(job.id)).status == "running"


async def test_wrong_positions_are_refused_alike(client: Client) -> None:
    job = await client.enqueue(type="noop")
    for follow in (True, False):
        with pytest.raises(Invalid) as refused:
            await taken(client, job.id, "nonsense", follow=follow)
        assert [each["path"] for each in refused.value.extra["errors"]] == ["after"]


async def test_nobody_follows_a_job_that_is_not_there(client: Client) -> None:
    for follow in (True, False):
        with pytest.raises(NotFound):
            await taken(client, UNKNOWN, follow=follow)
