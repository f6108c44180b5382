"""Following a job's history as Server-Sent Events (Q-6, 70-14)."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
import redis

from services.queue_api.app import build
from services.queue_api.keys import LIVE_EVENTS
from sluicegate import keys
from sluicegate.http import LONG_REQUESTS, serving
from sluicegate.http.service import SHUTDOWN_SECONDS
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store, live_events
from sluicegate.store.live_events import KEPT_BYTES
from tests.services.queue_api.conftest import Api
from tests.support.store_server import valkey
from tests.support.wait import until


class Block(NamedTuple):
    """One block of a stream: an event, or a comment."""

    id: str
    event: str
    data: Any
    comment: str


class Stream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> Block | None:
        """The next one; None at the end of the stream."""
        fields = {"id": "", "event": "", "data": "", "": ""}
        while True:
            line = (await self.response.content.readline()).decode()
            if line in ("", "\n"):
                break
            name, _, value = line.rstrip("\n").partition(":")
            fields[name] = value.removeprefix(" ")
        if not any(fields.values()):
            return None
        data = json.loads(fields["data"]) if fields["data"] else None
        return Block(fields["id"], fields["event"], data, fields[""])

    async def event(self) -> Block | None:
        """The next one that is no comment."""
        while (block := await self.block()) is not None and block.comment:
            pass
        return block

    async def rest(self) -> list[Block]:
        found = []
        while (block := await self.event()) is not None:
            found.append(block)
        return found


@asynccontextmanager
async def following(api: Api, job_id: str, query: str = "", last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last} if last else {}
    url = f"{api.url}/api/queue/jobs/{job_id}/events/stream{query}"
    async with api.session.get(url, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield Stream(response)


async def test_history_then_live_then_the_end(api: Api) -> None:
    job_id, held = await api.running()
    async with following(api, job_id) as stream:
        first = await stream.event()
        assert first is not None
        assert (first.event, first.data["payload"]["kind"], first.id) == (
            "job.event", "job.enqueued", first.data["id"],
        )  # fmt: skip
        assert (await stream.event()).data["payload"]["kind"] == "job.claimed"  # type: ignore[union-attr]
        for n in range(3):
            sent = (await api.post(f"/jobs/{job_id}/events", {**held, "message": f"m{n}\nsecond line"})).json
            block = await stream.event()
            assert block is not None
            assert (block.id, block.data) == (sent["id"], sent)
        await api.post(f"/jobs/{job_id}/complete", held)
        rest = await stream.rest()
    assert [each.event for each in rest] == ["job.event", "end"]
    assert rest[0].data["payload"]["kind"] == "job.succeeded"


async def test_an_ended_jobs_whole_history_is_sent(api: Api) -> None:
    """More than one page of it."""
    job_id, held = await api.running()
    for start in (0, 500, 1000):
        events = [{"message": str(start + n)} for n in range(500)]
        await api.post(f"/jobs/{job_id}/events", {**held, "events": events})
    await api.post(f"/jobs/{job_id}/complete", held)
    async with following(api, job_id) as stream:
        found = await stream.rest()
    assert len({each.id for each in found[:-1]}) == len(found) - 1 == 1_503
    assert found[-1].event == "end"
    assert [each.data["message"] for each in found[2:-2]] == [str(n) for n in range(1500)]


async def test_a_client_goes_on_where_it_was(api: Api) -> None:
    """Last-Event-ID wins over `after`."""
    job_id, held = await api.running()
    for n in range(4):
        await api.post(f"/jobs/{job_id}/events", {**held, "message": str(n)})
    await api.post(f"/jobs/{job_id}/complete", held)
    async with following(api, job_id) as stream:
        everything = await stream.rest()
    for query, last in (("", everything[2].id), (f"?after={everything[0].id}", everything[2].id)):
        async with following(api, job_id, query, last) as stream:
            assert await stream.rest() == everything[3:]
    async with following(api, job_id, f"?after={everything[2].id}") as stream:
        assert await stream.rest() == everything[3:]


async def test_now_leaves_history_out(api: Api) -> None:
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/events", {**held, "message": "old"})
    async with following(api, job_id, "?after=now") as stream:
        await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == 1, "the stream waits")
        await api.post(f"/jobs/{job_id}/events", {**held, "message": "new"})
        block = await stream.event()
        assert block is not None
        assert block.data["message"] == "new"


async def test_who_began_with_now_resumes_from_there(api: Api) -> None:
    """Q-6: a client that was cut off before its first event has a place to go on from, too."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/events", {**held, "message": "old"})
    async with following(api, job_id, "?after=now") as stream:
        while not (block := await stream.block()) or not block.id:
            pass
    assert block.event == ""
    await api.post(f"/jobs/{job_id}/events", {**held, "message": "while it was away"})
    await api.post(f"/jobs/{job_id}/complete", held)
    async with following(api, job_id, "?after=now", last=block.id) as stream:
        found = await stream.rest()
    assert [each.data.get("message") for each in found[:-1]] == ["while it was away", "Succeeded"]


async def test_a_time_is_a_place_too(api: Api) -> None:
    """70-13, 70-14."""
    job_id, held = await api.running()
    await api.post(f"/jobs/{job_id}/complete", held)
    async with following(api, job_id, "?after=2001-01-01T00:00:00Z") as stream:
        assert [each.event for each in await stream.rest()] == ["job.event"] * 3 + ["end"]
    async with following(api, job_id, "?after=2999-01-01T00:00:00Z") as stream:
        assert [each.event for each in await stream.rest()] == ["end"]


async def test_a_job_that_is_removed_ends_its_streams(api: Api, store: Store) -> None:
    """70-14, Q-15: in mid-stream the end, afterwards 404."""
    job_id, _ = await api.running()
    async with following(api, job_id) as stream:
        await stream.event()
        await stream.event()
        await store.command("DEL", keys.job(job_id), keys.job_events(job_id))
        await store.command("XADD", keys.EVENTS, "*", "kind", "removed", "jobs", job_id)
        block = await stream.event()
        assert block is not None
        assert (block.event, block.data) == ("end", {})
    answer = await api.get(f"/jobs/{job_id}/events/stream")
    assert (answer.status, answer.code) == (404, "job_not_found")


async def test_all_streams_share_one_read(api: Api, store: Store) -> None:
    """Q-6, DESIGN 10: each event is read once, however many follow."""
    job_id, held = await api.running()
    other, _ = await api.running()
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(following(api, each))
            for each in (job_id, other)
            for _ in range(10)
        ]
        for stream in streams:
            for _ in range(2):
                await stream.event()
        await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == 20, "all streams wait")
        before = await _calls(store, "xrange")
        await api.post(f"/jobs/{job_id}/events", {**held, "message": "once"})
        for stream in streams[:10]:
            block = await stream.event()
            assert block is not None
            assert block.data["message"] == "once"
        assert await _calls(store, "xrange") - before == 1
        listed = (await store.command("CLIENT", "LIST")).splitlines()
        readers = [line for line in listed if "cmd=xread " in line]
        assert len(readers) == 1, listed


async def test_a_slow_client_holds_up_nobody_and_loses_nothing(api: Api) -> None:
    """Q-6: what it does not read is not kept for it in memory; it is read for it later."""
    job_id, held = await api.running()
    text = "x" * 20_000
    async with not_reading(api, job_id) as reader:
        async with following(api, job_id) as stream:
            for start in range(0, 600, 20):
                events = [{"message": str(n), "payload": {"text": text}} for n in range(start, start + 20)]
                assert (await api.post(f"/jobs/{job_id}/events", {**held, "events": events})).status == 201
            await api.post(f"/jobs/{job_id}/complete", held)
            fast = [each.id for each in await stream.rest()]
        live = api.app[LIVE_EVENTS]
        assert live.followed == 1, "the slow client was sent everything at once: this test proves nothing"
        assert live.kept_bytes <= KEPT_BYTES
        slow = (await asyncio.wait_for(reader.read(), 20)).decode()
    assert [line[4:].strip() for line in slow.splitlines() if line.startswith("id: ")] == fast[:-1]
    assert slow.count("event: end") == 1


async def test_a_client_that_takes_nothing_does_not_hold_up_a_stop(
    api_settings: QueueApiSettings, store: Store
) -> None:
    """70-14: nor does its stream, however much it has not taken."""
    app = build(api_settings, store)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        async with serving(app, "127.0.0.1", 0) as (host, port):
            api = Api(f"http://{host}:{port}", session, app)
            job_id, held = await api.running()
            await stack.enter_async_context(not_reading(api, job_id))
            for _ in range(30):
                events = [{"message": str(n), "payload": {"text": "x" * 20_000}} for n in range(20)]
                assert (await api.post(f"/jobs/{job_id}/events", {**held, "events": events})).status == 201
            await until(lambda: bool(app[LONG_REQUESTS]._waiting), "the stream waits")
            asked = time.monotonic()
        assert time.monotonic() - asked < SHUTDOWN_SECONDS / 2


async def test_streams_end_when_the_store_is_gone(
    api_settings: QueueApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """70-19: who follows is not kept waiting by keepalives for what will not come."""
    monkeypatch.setattr(live_events, "LOOK_SECONDS", 0.2)
    with valkey() as url:
        settings = msgspec.structs.replace(api_settings, redis_url=url, redis_timeout_ms=500)
        store = await Store.open(settings)
        app = build(settings, store)
        async with serving(app, "127.0.0.1", 0) as (host, port), aiohttp.ClientSession() as session:
            api = Api(f"http://{host}:{port}", session, app)
            job_id, _ = await api.running()
            async with following(api, job_id) as stream:
                await stream.event()
                with redis.Redis.from_url(url, protocol=2) as client:
                    client.shutdown(nosave=True)
                rest = await asyncio.wait_for(stream.rest(), 10)
            assert all(each.event == "job.event" for each in rest)
        await store.close()


async def test_idle_streams_are_kept_alive(api: Api) -> None:
    job = await api.enqueue()
    async with following(api, job["id"]) as stream:
        assert (await stream.event()).data["payload"]["kind"] == "job.enqueued"  # type: ignore[union-attr]
        for _ in range(2):
            block = await stream.block()
            assert block is not None
            assert block.comment == "keepalive"


async def test_what_cannot_be_followed_is_refused_before_the_stream(api: Api) -> None:
    job = await api.enqueue()
    assert (await api.get(f"/jobs/{job['id']}/events/stream?after=nonsense")).paths == ["after"]
    assert (await api.get(f"/jobs/{job['id']}/events/stream?from=1")).paths == ["from"]
    beyond = await api.get(f"/jobs/{job['id']}/events/stream?after=9999999999999-0")
    assert beyond.paths == ["after"]
    assert "beyond the end" in beyond.json["errors"][0]["message"]
    bad = {"Last-Event-ID": "nonsense"}
    assert (await api.get(f"/jobs/{job['id']}/events/stream", headers=bad)).paths == ["Last-Event-ID"]


async def test_a_client_that_left_is_noticed(api: Api) -> None:
    job = await api.enqueue()
    async with following(api, job["id"]) as stream:
        await stream.event()
        await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == 1, "the stream waits")
        stream.response.close()
    await until(lambda: not api.app[LONG_REQUESTS]._waiting, "the stream has ended", timeout=2)
    await until(lambda: not api.app[LIVE_EVENTS].followed, "nobody is followed", timeout=2)


async def test_a_stop_ends_streams(api_settings: QueueApiSettings, store: Store) -> None:
    app = build(api_settings, store)
    async with aiohttp.ClientSession() as session:
        async with serving(app, "127.0.0.1", 0) as (host, port):
            api = Api(f"http://{host}:{port}", session, app)
            job = await api.enqueue()
            following_it = following(api, job["id"])
            stream = await following_it.__aenter__()
            await stream.event()
            await until(lambda: len(app[LONG_REQUESTS]._waiting) == 1, "the stream waits")
        assert all(each.event != "end" for each in await asyncio.wait_for(stream.rest(), 5))
        await following_it.__aexit__(None, None, None)


async def _calls(store: Store, command: str) -> int:
    """How often the server ran it."""
    stats = await store.command("INFO", "commandstats")
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", stats)
    return int(found[1]) if found else 0


@asynccontextmanager
async def not_reading(api: Api, job_id: str) -> AsyncIterator[asyncio.StreamReader]:
    """A follower that reads nothing until told, with little room for what it is sent."""
    where = urlsplit(api.url)
    quiet = socket.socket()
    quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    quiet.setblocking(False)
    await asyncio.get_running_loop().sock_connect(quiet, (where.hostname, where.port))
    reader, writer = await asyncio.open_connection(sock=quiet, limit=4096)
    try:
        writer.write(f"GET /api/queue/jobs/{job_id}/events/stream HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        await until(lambda: api.app[LIVE_EVENTS].followed == 1, "it follows")
        yield reader
    finally:
        writer.transport.abort()
