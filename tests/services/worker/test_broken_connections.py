"""Answers that are lost between queue_api and a worker: every call is repeated, and counts once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sluicegate.errors import OutcomeUnknown, StoreUnavailable
from sluicegate.model import NewEvent
from sluicegate.store import Store, cancellation, events, jobs
from sluicegate.store.control_feed import Control
from sluicegate.store.endings import Cancelled, Complete
from sluicegate.store.events import Append
from sluicegate.worker.context import JobContext
from sluicegate.worker.transports.http import HttpTransport
from tests.services.client.breakage import Breakage
from tests.services.worker.conftest import Way, claimed, held
from tests.support.contents import contents, kinds
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

ONLY_HTTP = pytest.mark.parametrize("way", ["http"], indirect=True)
pytestmark = ONLY_HTTP


class Line:
    """A stretch of network whose next answers are lost, after the requests have arrived."""

    def __init__(self, url: str) -> None:
        self.losing = False
        self.network = Breakage(url, lambda _: 0 if self.losing else None)

    async def lost(self, call: Callable[[], Awaitable[object]]) -> None:
        """Make a call whose answer is lost: it says that its outcome is unknown."""
        self.losing = True
        self.network.break_all()  # the call opens a connection of its own then
        with pytest.raises(OutcomeUnknown):
            await call()
        self.losing = False


@pytest.fixture
async def line(way: Way) -> AsyncIterator[tuple[Line, HttpTransport]]:
    assert way.url is not None
    line = Line(way.url)
    async with line.network.listening() as url:
        transport = HttpTransport(way.settings(url=url))
        await transport.open()
        yield line, transport
        await transport.close()


async def test_a_claim_whose_answer_is_lost_is_asked_for_again(
    store: Store, line: tuple[Line, HttpTransport], make: JobBuilder
) -> None:
    """Q-16: the same jobs under the same tokens; what could not be handed over is back in the queue."""
    network, transport = line
    made = await make.waiting()
    await network.lost(lambda: claimed(transport, request="r-1"))
    await asyncio.sleep(0)
    found = await claimed(transport, request="r-1", wait=5)
    assert [each.job_id for each in found.attempts] == [made.job_id]
    job = await jobs.get(store, made.job_id)
    assert (job.status, job.attempt) == ("running", 1)
    outcomes = await transport.settle([Complete(each.job_id, each.token) for each in found.attempts])
    assert outcomes == [None]


async def test_endings_whose_answer_is_lost_count_once(
    store: Store, line: tuple[Line, HttpTransport], make: JobBuilder
) -> None:
    network, transport = line
    done, cancelled = await held(transport, make), await held(transport, make)
    await cancellation.cancel(store, cancelled.job_id, actor="someone")
    endings = [Complete(done.job_id, done.token, "once"), Cancelled(cancelled.job_id, cancelled.token)]
    await network.lost(lambda: transport.settle(endings))
    assert await transport.settle(endings) == [None, None]
    before = await contents(store)
    assert await transport.settle(endings) == [None, None]
    assert await contents(store) == before
    assert (await kinds(store, done.job_id)).count("job.succeeded") == 1
    assert (await kinds(store, cancelled.job_id)).count("job.cancelled") == 1


async def test_events_whose_answer_is_lost_may_stand_twice_and_are_never_missing(
    store: Store, line: tuple[Line, HttpTransport], make: JobBuilder
) -> None:
    network, transport = line
    attempt = await held(transport, make)
    appends = [Append(attempt.job_id, attempt.token, NewEvent(message=f"{number}")) for number in range(3)]
    await network.lost(lambda: transport.append_events(appends))
    assert await transport.append_events(appends) == [None] * 3
    told = [e.message for e in await events.page(store, attempt.job_id) if e.message.isdigit()]
    assert told in (["0", "1", "2"], ["0", "1", "2"] * 2)


async def test_what_an_attempt_asks_for_outlasts_an_outage(
    store: Store, line: tuple[Line, HttpTransport], make: JobBuilder
) -> None:
    """An outage costs time, no attempt: the call itself goes on asking."""
    network, transport = line
    attempt = await held(transport, make)
    network.network.go_down()
    asked = asyncio.create_task(transport.state_fact(attempt.job_id, attempt.token, "start_commit", "abc"))
    stored = asyncio.create_task(
        transport.put_artifact(attempt.job_id, attempt.token, "a", b"content", "text/plain")
    )
    await asyncio.wait([asked, stored], timeout=0.5)
    assert not asked.done() and not stored.done()
    network.network.come_up()
    assert await asyncio.wait_for(asked, 10) == "abc"
    assert (await asyncio.wait_for(stored, 10)).size_bytes == 7
    assert len(await transport.artifacts(attempt.job_id)) == 1


async def test_pushes_come_again_after_the_connection_broke(
    store: Store, line: tuple[Line, HttpTransport], make: JobBuilder
) -> None:
    """C-10: the pause state as it is comes first, so that a resume in between is not missed."""
    network, transport = line
    heard: list[Control] = []
    attempt = await held(transport, make)
    await transport.watch(heard.append)
    await until(lambda: heard, "the stream is open")
    network.network.go_down()
    heard.clear()
    network.network.come_up()
    await until(lambda: [c for c in heard if c.system], "the pause state comes again")
    await cancellation.cancel(store, attempt.job_id, actor="someone")
    await until(lambda: [c for c in heard if c.kind == "cancel"], "the cancel comes")


async def test_the_fence_before_a_push_waits_for_the_network(store: Store, way: Way) -> None:
    """70-33: an outage in the moment of the push failed the attempt; now it asks again."""
    assert way.url is not None
    network = Breakage(way.url)
    begun, cut = asyncio.Event(), asyncio.Event()
    async with network.listening() as url:
        worker = way.worker(url=url)

        @worker.handler("work")
        async def work(ctx: JobContext) -> str:
            begun.set()
            await cut.wait()
            await ctx.hold()
            return "pushed"

        running = asyncio.create_task(worker.run(handle_signals=False))
        job_id = (await JobBuilder(store).waiting()).job_id
        await asyncio.wait_for(begun.wait(), 10)
        network.go_down()
        cut.set()
        tries = network.connections
        await until(lambda: network.connections > tries + 2, "it has asked in vain")
        network.come_up()

        async def ended() -> bool:
            return (await jobs.get(store, job_id)).terminal

        await until(ended, "the job has ended")
        worker.stop()
        await running
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.result_summary) == ("succeeded", 1, "pushed")


async def test_a_worker_on_a_bad_line_ends_each_job_once(store: Store, way: Way) -> None:
    """Every third connection breaks after its first answer's first bytes; each job still succeeds once."""
    assert way.url is not None
    network = Breakage(way.url, lambda number: 40 if number % 3 == 2 else 400 if number % 3 == 1 else None)
    make = JobBuilder(store)
    job_ids = await make.enqueued(*(make.submission() for _ in range(60)))
    async with network.listening() as url:
        worker = way.worker(url=url, worker_concurrency=5, worker_shutdown_seconds=0.0)

        @worker.handler("work")
        async def work(ctx: JobContext) -> str:
            await ctx.event("work.did", "Did")
            return "done"

        running: asyncio.Task[None] | None = None
        while running is None or running.done():  # its first call may break too: it then says so, and ends
            running = asyncio.create_task(worker.run(handle_signals=False))
            await asyncio.wait([running], timeout=0.5)
            if running.done():
                assert isinstance(running.exception(), (OutcomeUnknown, StoreUnavailable))

        async def all_ended() -> bool:
            return (await jobs.counts(store)).succeeded == 60

        await until(all_ended, "all have succeeded", timeout=30)
        worker.stop()
        await running
    for job_id in job_ids:
        assert (await kinds(store, job_id)).count("job.succeeded") == 1
    assert network.broken >= 3
