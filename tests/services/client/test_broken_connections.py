"""What a client makes of connections that break, servers that restart and answers that are lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from sluicegate.client import Client
from sluicegate.dev.embedded_store import free_port
from sluicegate.errors import ConfigurationError, OutcomeUnknown, ServerUnreachable, StoreUnavailable
from sluicegate.model import Event
from sluicegate.operations import credentials
from sluicegate.operations.credentials import OperatorTokenCall
from sluicegate.settings import Settings
from sluicegate.store.connection import Store
from tests.services.client.breakage import Breakage
from tests.services.client.conftest import deployment
from tests.support import given
from tests.support.wait import until

SEED = 20260131


async def test_events_resume_without_gap_or_repeat(store: Store, url: str) -> None:
    """Q-6: connections that break anywhere, in mid-line too, while the job goes on."""
    job = await given.running(store)
    chance = random.Random(SEED)
    line = Breakage(url, lambda _: chance.randint(1, 4000) if chance.random() < 0.9 else None)

    async def work() -> None:
        for number in range(60):
            await given.says(store, job, f"line {number} — äöü\n")
        await given.complete(store, job)

    async with line.listening() as broken, Client.from_url(broken) as client:
        working = asyncio.create_task(work())
        events = await asyncio.wait_for(taken(client, job.id), 60)
        await working
    assert line.broken >= 3, f"seed {SEED} broke nothing"
    async with Client.from_url(url) as direct:
        assert events == [event async for event in direct.events(job.id, follow=False)]
    assert len(events) == 63


async def test_now_stays_where_it_was_asked_for(store: Store, url: str) -> None:
    """Q-6: what comes while a connection is down that began at `now` is not missed."""
    job = await given.running(store)
    line = Breakage(url)
    async with line.listening() as broken, Client.from_url(broken) as client:
        following = client.events(job.id, "now")
        first = asyncio.ensure_future(anext(following))
        await until(lambda: b": keepalive" in line.answered, "the stream is open")
        line.go_down()
        await given.says(store, job, "one\n")
        await given.says(store, job, "two\n")
        line.come_up()
        events = [await asyncio.wait_for(first, 10), await asyncio.wait_for(anext(following), 10)]
        await following.aclose()
        texts = [event.payload["text"] for event in events if event.payload]
        assert texts == ["one\n", "two\n"]


async def test_waiting_survives_a_restart_of_the_server(store: Store) -> None:
    """The job ends while nothing listens; the one that waits learns of it from the next server."""
    job = await given.running(store)
    port = free_port()
    client = Client.from_url(f"http://127.0.0.1:{port}")
    async with client:
        async with deployment(store, port=port):
            waiting = asyncio.create_task(client.wait(job.id))
            follower = asyncio.create_task(taken(client, job.id))
            await client.get(job.id)
            await asyncio.wait([waiting, follower], timeout=0.3)
        assert not waiting.done()
        await given.says(store, job, "meanwhile\n")
        await given.complete(store, job)
        async with deployment(store, port=port):
            assert (await asyncio.wait_for(waiting, 20)).status == "succeeded"
            assert len(await asyncio.wait_for(follower, 20)) == 4


async def test_an_enqueue_whose_answer_is_lost_is_repeated(store: Store, url: str) -> None:
    """Q-13: sent again with the same id, so that there is one job."""
    line = Breakage(url, lambda number: 0 if number < 2 else None)
    async with line.listening() as broken, Client.from_url(broken) as client:
        job = await client.enqueue(type="noop", payload={"n": 1})
        keyed = await client.enqueue(type="noop", payload={"n": 2}, idempotency_key="once")
    assert line.connections >= 3
    async with Client.from_url(url) as direct:
        assert {each.id for each in (await direct.list()).items} == {job.id, keyed.id}


async def test_a_pause_whose_answer_is_lost_is_not_repeated(store: Store, url: str) -> None:
    """A repeat would be answered `pause_unchanged` though the first took effect: so it says what is known."""
    line = Breakage(url, lambda number: 0)
    async with line.listening() as broken, Client.from_url(broken) as client:
        with pytest.raises(OutcomeUnknown) as lost:
            await client.pause("drain", "upgrade")
        assert lost.value.code == "outcome_unknown"
    assert line.connections == 1
    async with Client.from_url(url) as direct:
        state = await direct.pause_state()
        assert state.system.workers_paused and len(state.audit.latest) == 1


async def test_a_server_that_starts_late_is_waited_for(store: Store) -> None:
    port = free_port()
    async with Client.from_url(f"http://127.0.0.1:{port}") as client:
        enqueueing = asyncio.create_task(client.enqueue(type="noop"))
        await asyncio.wait([enqueueing], timeout=0.3)
        assert not enqueueing.done()
        async with deployment(store, port=port):
            assert (await asyncio.wait_for(enqueueing, 10)).status == "queued"


async def test_nobody_there_is_told_alike() -> None:
    """Both transports raise StoreUnavailable; over HTTP it names the address and says why."""
    port = free_port()
    async with Client.from_url(f"http://127.0.0.1:{port}", retry_seconds=0) as client:
        calls = [client.get("01890000-0000-7000-8000-000000000000"), client.pause("drain", "x")]
        for call in calls:
            with pytest.raises(
                ServerUnreachable, match=f"127.0.0.1:{port} cannot be reached: Connection ref"
            ):
                await call
        with pytest.raises(ServerUnreachable):
            await client.wait("01890000-0000-7000-8000-000000000000")
    with pytest.raises(StoreUnavailable):
        settings = Settings(redis_timeout_ms=100)
        async with Client.from_redis(f"redis://127.0.0.1:{port}/0", settings=settings):
            pytest.fail("there is no store")


@pytest.mark.parametrize(
    "address", ["ftp://x", "127.0.0.1:8080", "http://", "", "http://[::1", "http://x:port", "http://x:99999"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not the address of a server"):
        Client.from_url(address)


async def test_a_store_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        async with Client.from_redis("http://127.0.0.1:6379"):
            pytest.fail("that is no store")


async def taken(client: Client, job_id: str) -> list[Event]:
    return [event async for event in client.events(job_id)]


async def test_a_token_may_end_in_a_line_feed(url: str, store: Store) -> None:
    call = OperatorTokenCall(user_id="ann", role="viewer")
    issued = await credentials.create_operator_token(store, call, actor="test")
    async with Client.from_url(url, f"{issued.token}\n") as client:
        assert (await client.counts()).queued == 0
