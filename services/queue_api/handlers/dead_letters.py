"""Dead letters: look through them, give them a new life, remove them (Q-8)."""

from __future__ import annotations

from aiohttp import web

from services.queue_api.keys import FILES
from sluicegate.http import STORE, body, identity, query, reply
from sluicegate.operations import dead_jobs, many
from sluicegate.operations.calls import DeadLettersQuery, ManyCall


async def listing(request: web.Request) -> web.Response:
    return reply(await dead_jobs.page(request.app[STORE], query(request, DeadLettersQuery)))


async def redrive(request: web.Request) -> web.Response:
    call = await body(request, ManyCall)
    return reply(await many.redrive(request.app[STORE], call, actor=identity(request).user_id))


async def purge(request: web.Request) -> web.Response:
    call = await body(request, ManyCall)
    actor = identity(request).user_id
    return reply(await many.purge_dead(request.app[STORE], request.app[FILES], call, actor=actor))
