"""`/api/task-runs/{id}`: an operator's control of one run."""

from __future__ import annotations

from aiohttp import web

from sluicegate.http import STORE, body, identity, query, reply
from sluicegate.operations import messages, run_control
from sluicegate.operations.calls import PageQuery
from sluicegate.operations.messages import MessageCall
from sluicegate.operations.run_control import ControlCall


async def control(request: web.Request) -> web.Response:
    call = await body(request, ControlCall)
    store, actor = request.app[STORE], identity(request).user_id
    return reply(await run_control.control(store, request.match_info["id"], call, actor=actor))


async def control_events(request: web.Request) -> web.Response:
    page = query(request, PageQuery)
    return reply(await run_control.events(request.app[STORE], request.match_info["id"], page))


async def message(request: web.Request) -> web.Response:
    """201 with its control event."""
    call = await body(request, MessageCall)
    store, actor = request.app[STORE], identity(request).user_id
    return reply(await messages.send(store, request.match_info["id"], call, actor=actor), status=201)
