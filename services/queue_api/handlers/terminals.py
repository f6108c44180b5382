"""A run's terminal, for its worker on another machine: what it shows, and what is typed into it."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from services.queue_api.handlers.paths import job_id
from services.queue_api.keys import STREAMS
from sluicegate.errors import Invalid, LeaseLost
from sluicegate.http import (
    LONG_REQUESTS,
    SETTINGS,
    STORE,
    Admission,
    EventStream,
    body,
    identity,
    query,
    reply,
)
from sluicegate.operations import terminals, worker_calls
from sluicegate.operations.terminals import ShowCall, TypedQuery
from sluicegate.store import terminals as store_terminals
from sluicegate.store.positions import is_id
from sluicegate.store.streams import BEGINNING
from sluicegate.store.terminals import Typed


async def show(request: web.Request) -> web.Response:
    call = await body(request, ShowCall)
    return reply(await terminals.show(request.app[STORE], identity(request), job_id(request), call))


async def typed(request: web.Request) -> web.StreamResponse:
    """What is typed into the run's terminal, while this attempt's session lasts.

    The credential and the session are looked at again with every keepalive.
    """
    asked = query(request, TypedQuery)
    store, job = request.app[STORE], job_id(request)
    _, token = await worker_calls.held(store, identity(request), job, asked)
    if not (await store_terminals.standing(store, job)).held_by(token):
        raise LeaseLost(f"this attempt has no live session of job {job}")
    place = request.headers.get("Last-Event-ID") or BEGINNING
    if not is_id(place):
        raise Invalid.field("Last-Event-ID", "is not the id of an event")
    waiting: asyncio.Queue[Typed] = asyncio.Queue()
    async with store_terminals.follow_typed(request.app[STREAMS], job, token, place, waiting.put_nowait):
        out = await EventStream.open(request)
        await _send_on(request, out, waiting, job, token)
    return out.response


async def _send_on(
    request: web.Request, out: EventStream, waiting: asyncio.Queue[Typed], job: str, token: int
) -> None:
    long_requests, store = request.app[LONG_REQUESTS], request.app[STORE]
    admission = Admission(request, "worker")
    while not long_requests.over(request) and await admission.holds():
        found: list[Typed] = []
        async with long_requests.patience(request, request.app[SETTINGS].sse_keepalive_seconds):
            found = [await waiting.get()]
        for each in found:
            await out.send(msgspec.json.encode(terminals.told(each)), event="terminal.typed", id=each.id)
        if not found and not long_requests.over(request):
            if not (await store_terminals.standing(store, job)).held_by(token):
                return
            await out.keepalive()
