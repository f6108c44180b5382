"""Following a job's history as Server-Sent Events (Q-6, 70-14)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from services.queue_api.app import build
from sluicegate.http import LONG_REQUESTS, serving
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store
from tests.services.queue_api.conftest import Api
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
    bad = {"Last-Event-ID": "nonsense"}
    assert (await api.get(f"/jobs/{job['id']}/events/stream", headers=bad)).paths == ["after"]


async def test_a_client_that_left_is_noticed(api: Api) -> None:
    job = await api.enqueue()
    async with following(api, job["id"]) as stream:
        await stream.event()
        await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == 1, "the stream waits")
        stream.response.close()
    await until(lambda: not api.app[LONG_REQUESTS]._waiting, "the stream has ended", timeout=2)
    await until(lambda: not _subscribers(api), "nobody is subscribed", timeout=2)


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


def _subscribers(api: Api) -> dict[Any, Any]:
    from services.queue_api.keys import NOTICES

    return api.app[NOTICES]._by_job
