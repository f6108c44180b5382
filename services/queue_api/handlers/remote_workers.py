"""Workers on other machines: who they are, that they are there, and what is asked of them."""

from __future__ import annotations

import msgspec
from aiohttp import web

from services.queue_api.controls import Listener
from services.queue_api.handlers.paths import job_id
from services.queue_api.keys import CONTROLS
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
from sluicegate.operations import live_sessions, presence, worker_calls
from sluicegate.operations import messages as operator_messages
from sluicegate.operations.answers import WorkerControl
from sluicegate.operations.calls import ControlAnswer, PageQuery
from sluicegate.operations.live_sessions import RenewCall, ReportCall
from sluicegate.operations.presence import DepartCall, PresenceCall, WorkerQuery
from sluicegate.store import narrow_pauses, pause


async def credential(request: web.Request) -> web.Response:
    return reply(presence.credential(identity(request)))


async def announce(request: web.Request) -> web.Response:
    call = await body(request, PresenceCall)
    return reply(await presence.announce(request.app[STORE], identity(request), call))


async def depart(request: web.Request) -> web.Response:
    call = await body(request, DepartCall)
    return reply(await presence.depart(request.app[STORE], identity(request), call))


async def answer_control(request: web.Request) -> web.Response:
    call = await body(request, ControlAnswer)
    return reply(
        await worker_calls.answer_control(request.app[STORE], identity(request), job_id(request), call)
    )


async def controls(request: web.Request) -> web.StreamResponse:
    """The pauses as they are, then what changes and what is asked of the worker's jobs, as it comes.

    The credential is looked at again with every keepalive: the stream of one that was revoked ends.
    """
    worker_id = identity(request).worker(query(request, WorkerQuery).worker_id)
    async with request.app[CONTROLS].listen(worker_id) as listener:
        system = await pause.read(request.app[STORE])
        narrow = await narrow_pauses.read(request.app[STORE])
        out = await EventStream.open(request)
        await _send(
            out, WorkerControl(kind="pause", system=system, pauses=narrow if narrow.version else None)
        )
        await _send_on(request, out, listener)
    return out.response


async def _send_on(request: web.Request, out: EventStream, listener: Listener) -> None:
    long_requests = request.app[LONG_REQUESTS]
    keepalive = request.app[SETTINGS].sse_keepalive_seconds
    admission = Admission(request, "worker")
    while not long_requests.over(request) and await admission.holds():
        heard = []
        async with long_requests.patience(request, keepalive):
            heard = await listener.take()
        for control in heard:
            await _send(out, WorkerControl.of(control))
        if not heard and not long_requests.over(request) and await admission.holds():
            await out.keepalive()


async def _send(out: EventStream, control: WorkerControl) -> None:
    await out.send(msgspec.json.encode(control), event="worker.control")


async def messages(request: web.Request) -> web.Response:
    asked = query(request, PageQuery)
    return reply(await operator_messages.page(request.app[STORE], identity(request), job_id(request), asked))


async def report_live_session(request: web.Request) -> web.Response:
    call = await held_body(request, ReportCall)
    return reply(await live_sessions.report(request.app[STORE], identity(request), job_id(request), call))


async def renew_live_session(request: web.Request) -> web.Response:
    call = await held_body(request, RenewCall)
    return reply(await live_sessions.renew(request.app[STORE], identity(request), job_id(request), call))
