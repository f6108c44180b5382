"""The outbox: in order, in batches, nothing lost while the store is away, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sluicegate.errors import Busy, Forbidden, LeaseLost, OutcomeUnknown, RequestError, StoreUnavailable
from sluicegate.model import NewEvent
from sluicegate.store.endings import Complete, Ending
from sluicegate.store.events import Append
from sluicegate.worker import outbox as module
from sluicegate.worker.outbox import BATCH, MAX_WAITING, Outbox
from tests.support.scripted_transport import ScriptedTransport
from tests.support.wait import until

REFUSED = list[tuple[Ending, RequestError]]


def event(number: int, job_id: str = "a") -> Append:
    return Append(job_id, 1, NewEvent(message=f"event {number}"))


def unnumbered(item: Append | Ending) -> Append | Ending:
    """As it was put in: the outbox numbers events."""
    return item._replace(seq=0) if isinstance(item, Append) else item


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> ScriptedTransport:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.01)
    return ScriptedTransport()


@pytest.fixture
def refused() -> REFUSED:
    return []


@pytest.fixture
async def outbox(queue: ScriptedTransport, refused: REFUSED) -> AsyncIterator[Outbox]:
    box = Outbox(queue, lambda ending, error: refused.append((ending, error)))
    yield box
    queue.hold.set()
    await box.stop(5)


async def test_events_of_a_job_leave_before_its_ending(queue: ScriptedTransport, outbox: Outbox) -> None:
    """Q-5: an ended job takes no events any more, so they have to come first; in order, whoever waits."""
    jobs = [f"job-{number}" for number in range(6)]
    put: list[Append | Ending] = []
    for number in range(3 * BATCH):
        for job_id in jobs[: 6 - number // 50]:  # one after another falls silent
            said = event(number, job_id)
            put.append(said)
            await outbox.add_event(said)
        if number % 50 == 49:
            ended = Complete(jobs[5 - number // 50], 1)
            put.append(ended)
            outbox.add_ending(ended)
    outbox.start()
    await outbox.flushed()
    for job_id in jobs:
        assert [unnumbered(each) for each in queue.sent if each.job_id == job_id] == [
            each for each in put if each.job_id == job_id
        ]


async def test_an_ending_does_not_wait_for_the_chatter_of_others(
    queue: ScriptedTransport, outbox: Outbox
) -> None:
    """A job that reports without a break held up the ending of every other job."""

    async def chatter() -> None:
        number = 0
        while True:
            await outbox.add_event(event(number := number + 1, "chatty"))
            await asyncio.sleep(0)

    outbox.start()
    talking = asyncio.create_task(chatter())
    await until(lambda: len(queue.sent) > 10, "it chatters")
    outbox.add_ending(Complete("quiet", 1))
    await until(lambda: Complete("quiet", 1) in queue.sent, "the ending has left", timeout=5)
    talking.cancel()


async def test_stopping_waits_for_the_endings_too(queue: ScriptedTransport, outbox: Outbox) -> None:
    """The worker stopped when its events had left, and its last endings were lost."""
    queue.hold.clear()
    outbox.start()
    for number in range(3):
        await outbox.add_event(event(number))
    outbox.add_ending(Complete("a", 1))
    stopping = asyncio.create_task(outbox.stop(5))
    await until(lambda: queue.writing, "a call is under way")
    queue.hold.set()
    await stopping
    assert queue.sent[-1] == Complete("a", 1)
    assert outbox.backlog == 0


async def test_an_outage_loses_nothing_and_keeps_the_order(queue: ScriptedTransport, outbox: Outbox) -> None:
    away = [StoreUnavailable("gone"), StoreUnavailable("gone"), OutcomeUnknown("who knows")]
    queue.fail("append_events", *away)
    queue.fail("settle", *away)
    outbox.start()
    put = [event(number) for number in range(5)]
    for each in put:
        await outbox.add_event(each)
    outbox.add_ending(Complete("a", 1))
    assert outbox.unwritten() == [("a", 1)]
    await outbox.flushed()
    # And the events not once more when the ending was late.
    assert [unnumbered(each) for each in queue.sent] == [*put, Complete("a", 1)]
    assert outbox.unwritten() == []


async def test_producers_wait_while_the_store_is_away(queue: ScriptedTransport, outbox: Outbox) -> None:
    queue.hold.clear()
    outbox.start()
    added = 0

    async def produce() -> None:
        nonlocal added
        for number in range(MAX_WAITING + 500):
            await outbox.add_event(event(number))
            added += 1

    producing = asyncio.create_task(produce())
    await until(lambda: added == MAX_WAITING, "the outbox is full")
    for _ in range(100):
        await asyncio.sleep(0)
    assert (added, outbox.backlog) == (MAX_WAITING, MAX_WAITING)
    outbox.add_ending(Complete("a", 1))  # never waits
    queue.hold.set()
    await producing
    await outbox.flushed()
    events = [each.event.message for each in queue.sent if isinstance(each, Append)]
    assert events == [f"event {number}" for number in range(MAX_WAITING + 500)]


async def test_stop_gives_up_after_its_time(queue: ScriptedTransport, outbox: Outbox) -> None:
    queue.hold.clear()
    outbox.start()
    outbox.add_ending(Complete("a", 1))
    await asyncio.wait_for(outbox.stop(0.05), 5)
    assert outbox.backlog == 1


async def test_what_the_queue_refuses_holds_up_nothing(
    queue: ScriptedTransport, outbox: Outbox, refused: REFUSED
) -> None:
    lost = LeaseLost("it is another's")
    queue.refusals = {"b": lost}
    queue.fail("append_events", Busy("the store is full"))
    outbox.start()
    await outbox.add_event(event(1))
    await outbox.flushed()
    outbox.add_ending(Complete("a", 1))
    outbox.add_ending(Complete("b", 1))
    await outbox.flushed()
    assert queue.sent == [Complete("a", 1), Complete("b", 1)]
    assert refused == [(Complete("b", 1), lost)]


async def test_a_refused_call_refuses_each_of_its_endings(
    queue: ScriptedTransport, outbox: Outbox, refused: REFUSED
) -> None:
    """A revoked token ended the outbox, and with it the whole worker's reports."""
    error = Forbidden("the token was revoked")
    queue.fail("settle", error)
    outbox.start()
    outbox.add_ending(Complete("a", 1))
    await outbox.flushed()
    outbox.add_ending(Complete("b", 1))
    await outbox.flushed()
    assert refused == [(Complete("a", 1), error)]
    assert queue.sent == [Complete("b", 1)]


async def test_an_item_that_cannot_be_sent_is_left_out_alone(
    queue: ScriptedTransport, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """One ending with a broken character stopped everything that the worker had to say."""
    poison = UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed")
    outbox.add_ending(Complete("poison", 1))
    outbox.add_ending(Complete("a", 1))
    queue.fail("settle", poison, poison)  # together, then alone
    outbox.start()
    await outbox.flushed()
    assert queue.sent == [Complete("a", 1)]
    assert "worker.outbox.raised" in caplog.text
