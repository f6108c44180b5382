"""Enqueue, look, list, cancel."""

from __future__ import annotations

from aiohttp import web

from services.queue_api.keys import SUBMISSIONS
from sluicegate import tracing
from sluicegate.errors import RequestError
from sluicegate.http import SETTINGS, STORE, body, identity, query, reply
from sluicegate.model import Job, NewJob
from sluicegate.operations import access, jobs, many
from sluicegate.operations import why as why_operation
from sluicegate.operations.answers import EnqueuedItem, Items, Listed
from sluicegate.operations.calls import CancelCall, EnqueueManyCall, JobsQuery, ManyCall, NoFields
from sluicegate.operations.jobs import Accepted
from sluicegate.store import cancellation
from sluicegate.store import jobs as job_records

REPLAYED = {"Idempotency-Replayed": "true"}


async def enqueue(request: web.Request) -> web.Response:
    """201 with the job; 200 with the first one when the id or the key was used before (Q-13)."""
    new = jobs.with_key(await body(request, NewJob), request.headers.get("Idempotency-Key"))
    outcome = await accepted(request, new)
    if outcome.replayed:
        return reply(outcome.job, headers=REPLAYED)
    return reply(outcome.job, status=201)


async def enqueue_many(request: web.Request) -> web.Response:
    """207 with one item per job, in order."""
    call = await body(request, EnqueueManyCall)
    outcomes = await jobs.enqueue_many(
        request.app[STORE],
        call.jobs,
        actor=identity(request).user_id,
        trace=tracing.of_request(request.headers),
    )
    return reply(Items(items=[_item(at, outcome) for at, outcome in enumerate(outcomes)]), status=207)


async def get(request: web.Request) -> web.Response:
    query(request, NoFields)
    return reply(await seen(request, request.match_info["id"]))


async def why(request: web.Request) -> web.Response:
    query(request, NoFields)
    return reply(await why_operation.why(request.app[STORE], identity(request), request.match_info["id"]))


async def listing(request: web.Request) -> web.Response:
    return reply(await page(request, query(request, JobsQuery)))


async def cancel(request: web.Request) -> web.Response:
    call = await body(request, CancelCall, optional=True)
    return reply(await cancelled(request, request.match_info["id"], call))


async def accepted(request: web.Request, new: NewJob) -> Accepted:
    """Enqueued, in one call to the store with all that come at the same time."""
    submission = jobs.prepare(
        new,
        actor=identity(request).user_id,
        settings=request.app[SETTINGS],
        trace=tracing.of_request(request.headers),
    )
    outcome = await request.app[SUBMISSIONS].one(submission)
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


async def seen(request: web.Request, job_id: str) -> Job:
    return access.require_sight(identity(request), await job_records.get(request.app[STORE], job_id))


async def page(request: web.Request, asked: JobsQuery) -> Listed[Job]:
    """A producer sees its own jobs only."""
    chosen = access.narrowed(identity(request), jobs.job_filter(asked, request.app[SETTINGS]))
    found, following = await job_records.listing(
        request.app[STORE], chosen, cursor=asked.cursor, limit=asked.limit
    )
    return Listed(items=found, next_cursor=following)


async def cancelled(request: web.Request, job_id: str, call: CancelCall) -> Job:
    who, store = identity(request), request.app[STORE]
    await access.require_sight_of(store, who, job_id)
    return await cancellation.cancel(store, job_id, actor=who.user_id, reason=call.reason)


async def cancel_many(request: web.Request) -> web.Response:
    call = await body(request, ManyCall)
    return reply(await many.cancel(request.app[STORE], call, actor=identity(request).user_id))


def _item(at: int, outcome: Accepted | RequestError) -> EnqueuedItem:
    if isinstance(outcome, RequestError):
        return EnqueuedItem(index=at, status=outcome.status, error=outcome.problem())
    return EnqueuedItem(index=at, status=200 if outcome.replayed else 201, job=outcome.job)
