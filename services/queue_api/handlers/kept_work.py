"""What a worker keeps with a job for the attempts that follow: finished steps, and facts."""

from __future__ import annotations

from aiohttp import web

from services.queue_api.handlers.paths import job_id
from sluicegate.http import STORE, body, identity, reply
from sluicegate.operations import access, kept_work
from sluicegate.operations.answers import Items
from sluicegate.operations.kept_work import DropStepsCall, Fact, FactCall, StepCall
from sluicegate.store import jobs, shelves


async def save_step(request: web.Request) -> web.Response:
    call = await body(request, StepCall)
    return reply(await kept_work.save_step(request.app[STORE], identity(request), job_id(request), call))


async def steps(request: web.Request) -> web.Response:
    job = await jobs.get(request.app[STORE], job_id(request))
    access.require_sight(identity(request), job)
    return reply(Items(items=await shelves.steps(request.app[STORE], job.id)))


async def drop_steps(request: web.Request) -> web.Response:
    call = await body(request, DropStepsCall)
    return reply(await kept_work.drop_steps(request.app[STORE], identity(request), job_id(request), call))


async def facts(request: web.Request) -> web.Response:
    job = await jobs.get(request.app[STORE], job_id(request))
    access.require_sight(identity(request), job)
    known = await shelves.facts(request.app[STORE], job.id)
    return reply(Items(items=[Fact(name=name, value=known[name]) for name in sorted(known)]))


async def keep_fact(request: web.Request) -> web.Response:
    call = await body(request, FactCall)
    return reply(await kept_work.keep_fact(request.app[STORE], identity(request), job_id(request), call))
