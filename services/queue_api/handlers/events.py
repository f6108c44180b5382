"""A job's history: appended by the holder of its lease, read in pages or followed as a stream."""

from __future__ import annotations

import msgspec
from aiohttp import web

from services.queue_api.handlers.paths import job_id
from services.queue_api.keys import LIVE_EVENTS
from sluicegate.http import (
    LONG_REQUESTS,
    SETTINGS,
    STORE,
    Admission,
    EventStream,
    body,
    held_body,
    identity,
    query,
    reply,
)
from sluicegate.model import Event
from sluicegate.operations import access, events, worker_calls
from sluicegate.operations.answers import AppendedItem, Items, Listed
from sluicegate.operations.calls import AppendCall, AppendManyCall, EventsQuery, StreamQuery
from sluicegate.store.live_events import Follower


async def append(request: web.Request) -> web.Response:
    """201 with the event, or with `{items}` for a list. A log event past the job's limit is left out."""
    call = await held_body(request, AppendCall)
    kept = await worker_calls.append(request.app[STORE], identity(request), job_id(request), call)
    if call.events is None and kept:
        return reply(kept[0], status=201)
    return reply(Items(items=kept), status=201 if kept else 200)


async def append_many(request: web.Request) -> web.Response:
    """Events of many jobs of one worker: 207 with one item per event, in order."""
    call = await body(request, AppendManyCall)
    outcomes = await worker_calls.append_many(request.app[STORE], identity(request), call)
    items = [AppendedItem.of(each.id, outcome) for each, outcome in zip(call.events, outcomes, strict=True)]
    return reply(Items(items=items), status=207)


async def page(request: web.Request) -> web.Response:
    asked = query(request, EventsQuery)
    return reply(await page_of(request, job_id(request), asked))


async def page_of(request: web.Request, job: str, asked: EventsQuery) -> Listed[Event]:
    await access.require_sight_of(request.app[STORE], identity(request), job)
    return await events.page(request.app[STORE], job, asked)


async def stream(request: web.Request) -> web.StreamResponse:
    """History, then what happens, until the job has ended and everything was sent (70-14).

    A client that comes back with Last-Event-ID goes on behind that event, whatever `after` says. The
    credential is looked at again with every keepalive: the stream of one that was revoked ends.
    """
    asked = query(request, StreamQuery)
    await access.require_sight_of(request.app[STORE], identity(request), job_id(request))
    after, named = request.headers.get("Last-Event-ID"), "Last-Event-ID"
    if not after:
        after, named = asked.after, "after"
    async with request.app[LIVE_EVENTS].follow(job_id(request), after, named=named) as follower:
        out = await EventStream.open(request)
        if after == "now":
            await out.place(follower.place)
        await _send_on(request, out, follower)
    return out.response


async def _send_on(request: web.Request, out: EventStream, follower: Follower[bytes]) -> None:
    long_requests = request.app[LONG_REQUESTS]
    keepalive = request.app[SETTINGS].sse_keepalive_seconds
    admission = Admission(request, "viewer", ("producer", "worker"))
    while not long_requests.over(request) and await admission.holds():
        if frames := await follower.take():
            if not await out.write_soon(b"".join(frames), request, long_requests):
                return
        elif follower.over:
            status = {} if follower.status is None else {"status": follower.status}
            await out.send(msgspec.json.encode(status), event="end")
            return
        else:
            waited = True
            async with long_requests.patience(request, keepalive):
                await follower.more()
                waited = False
            if waited and not long_requests.over(request) and await admission.holds():
                await out.keepalive()
