"""`/api/task-runs/{id}/live-session`: a terminal on a running task, for operators and for its worker."""

from __future__ import annotations

from aiohttp import web

from sluicegate.http import STORE, body, held_body, identity, query, reply
from sluicegate.operations import live_sessions
from sluicegate.operations.calls import NoFields
from sluicegate.operations.live_sessions import (
    CreateCall,
    GrantCall,
    RenewCall,
    ReportCall,
    RevokeCall,
    WorkerSessionQuery,
)


async def create(request: web.Request) -> web.Response:
    """201 with a new session; 200 with the one that is open."""
    call = await body(request, CreateCall, optional=True)
    store, actor = request.app[STORE], identity(request).user_id
    answer, new = await live_sessions.create(store, request.match_info["id"], call, actor=actor)
    return reply(answer, status=201 if new else 200)


async def get(request: web.Request) -> web.Response:
    query(request, NoFields)
    return reply(await live_sessions.get(request.app[STORE], request.match_info["id"]))


async def grant(request: web.Request) -> web.Response:
    """What it tells is a secret: nothing on the way may keep it."""
    call = await body(request, GrantCall, optional=True)
    store, actor = request.app[STORE], identity(request).user_id
    answer = await live_sessions.grant(store, request.match_info["id"], call, actor=actor)
    return reply(answer, headers={"Cache-Control": "no-store"})


async def revoke(request: web.Request) -> web.Response:
    call = await body(request, RevokeCall, optional=True)
    store, actor = request.app[STORE], identity(request).user_id
    return reply(await live_sessions.revoke(store, request.match_info["id"], call, actor=actor))


async def report(request: web.Request) -> web.Response:
    call = await held_body(request, ReportCall)
    return reply(
        await live_sessions.report(request.app[STORE], identity(request), request.match_info["id"], call)
    )


async def renew(request: web.Request) -> web.Response:
    call = await held_body(request, RenewCall)
    return reply(
        await live_sessions.renew(request.app[STORE], identity(request), request.match_info["id"], call)
    )


async def wanted(request: web.Request) -> web.Response:
    asked = query(request, WorkerSessionQuery)
    return reply(
        await live_sessions.wanted(request.app[STORE], identity(request), request.match_info["id"], asked)
    )
