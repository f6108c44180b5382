"""Enqueue, look, list, cancel."""

from __future__ import annotations

from aiohttp import web

from services.queue_api.keys import SUBMISSIONS
from sluicegate.errors import RequestError
from sluicegate.http import SETTINGS, STORE, body, identity, query, reply
from sluicegate.model import NewJob
from sluicegate.operations import access, jobs
from sluicegate.operations.answers import EnqueuedItem, Items, Listed
from sluicegate.operations.calls import CancelCall, EnqueueManyCall, JobsQuery
from sluicegate.operations.jobs import Accepted
from sluicegate.store import cancellation
from sluicegate.store import jobs as job_records

REPLAYED = {"Idempotency-Replayed": "true"}


async def enqueue(request: web.Request) -> web.Response:
    """201 with the job; 200 with the first one when the id or the key was used before (Q-13)."""
    new = jobs.with_key(await body(request, NewJob), request.headers.get("Idempotency-Key"))
    submission = jobs.prepare(new, actor=identity(request).user_id, settings=request.app[SETTINGS])
    outcome = await request.app[SUBMISSIONS].one(submission)
    if isinstance(outcome, RequestError):
        raise outcome
    if outcome.replayed:
        return reply(outcome.job, headers=REPLAYED)
    return reply(outcome.job, status=201)


async def enqueue_many(request: web.Request) -> web.Response:
    """207 with one item per job, in order."""
    call = await body(request, EnqueueManyCall)
    outcomes = await jobs.enqueue_many(request.app[STORE], call.jobs, actor=identity(request).user_id)
    return reply(Items(items=[_item(at, outcome) for at, outcome in enumerate(outcomes)]), status=207)


async def get(request: web.Request) -> web.Response:
    found = await job_records.get(request.app[STORE], request.match_info["id"])
    return reply(access.require_sight(identity(request), found))


async def listing(request: web.Request) -> web.Response:
    """A producer sees its own jobs only."""
    asked = query(request, JobsQuery)
    chosen = access.narrowed(identity(request), jobs.job_filter(asked, request.app[SETTINGS]))
    found, following = await job_records.listing(
        request.app[STORE], chosen, cursor=asked.cursor, limit=asked.limit
    )
    return reply(Listed(items=found, next_cursor=following))


async def cancel(request: web.Request) -> web.Response:
    call = await body(request, CancelCall, optional=True)
    who, store = identity(request), request.app[STORE]
    await access.require_sight_of(store, who, request.match_info["id"])
    return reply(
        await cancellation.cancel(store, request.match_info["id"], actor=who.user_id, reason=call.reason)
    )


def _item(at: int, outcome: Accepted | RequestError) -> EnqueuedItem:
    if isinstance(outcome, RequestError):
        return EnqueuedItem(index=at, status=outcome.status, error=outcome.problem())
    return EnqueuedItem(index=at, status=200 if outcome.replayed else 201, job=outcome.job)
