"""Running again what has ended without success (70-10, 70-11)."""

from __future__ import annotations

from aiohttp import web

from services.queue_api.handlers.jobs import REPLAYED
from services.queue_api.handlers.paths import job_id
from sluicegate.http import STORE, body, identity, reply
from sluicegate.operations import many, retries
from sluicegate.operations.calls import ManyCall, RetryCall


async def retry_many(request: web.Request) -> web.Response:
    call = await body(request, ManyCall)
    return reply(await many.retry(request.app[STORE], call, actor=identity(request).user_id))


async def retry(request: web.Request) -> web.Response:
    """201 with the new job, 200 with the redriven dead letter; repeated, 200 with the same job."""
    call = await body(request, RetryCall, optional=True)
    retried = await retries.retry(
        request.app[STORE], job_id(request), actor=identity(request).user_id, reason=call.reason
    )
    if not retried.changed:
        return reply(retried.job, headers=REPLAYED)
    return reply(retried.job, status=201 if retried.created else 200)
