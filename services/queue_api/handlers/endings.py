"""How a worker ends its attempts: complete, fail, release, many at once, and cancelled as asked."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.queue_api.handlers.items import item
from services.queue_api.handlers.paths import job_id
from sluicegate.errors import SluicegateError
from sluicegate.http import METRICS, STORE, body, identity, reply
from sluicegate.model import Job
from sluicegate.operations.calls import (
    CancelAckCall,
    CompleteCall,
    Completed,
    FailCall,
    Failed,
    FinishCall,
    Held,
    ReleaseCall,
    Released,
    token_number,
)
from sluicegate.store import cancellation, endings
from sluicegate.store.endings import Complete, Ending, Fail, Release
from sluicegate.times import from_rfc3339


async def complete(request: web.Request) -> web.Response:
    call = await body(request, CompleteCall)
    return await _end(request, call, Complete(job_id(request), call.token, call.result_summary))


async def fail(request: web.Request) -> web.Response:
    call = await body(request, FailCall)
    ending = Fail(job_id(request), call.token, call.error_message, call.retryable, call.failure_class)
    return await _end(request, call, ending)


async def release(request: web.Request) -> web.Response:
    call = await body(request, ReleaseCall)
    return await _end(request, call, Release(job_id(request), call.token, call.reason))


async def finish(request: web.Request) -> web.Response:
    """Up to 100 of one worker's attempts, each ended in its own way: 207 with one item per attempt."""
    call = await body(request, FinishCall)
    worker_id = identity(request).worker(call.worker_id)
    outcomes = await endings.finish(request.app[STORE], worker_id, [_ending(each) for each in call.jobs])
    _observe(request, outcomes)
    shown = [item(each.id, outcome) for each, outcome in zip(call.jobs, outcomes, strict=True)]
    return reply({"items": shown}, status=207)


async def acknowledge_cancel(request: web.Request) -> web.Response:
    call = await body(request, CancelAckCall)
    job = await cancellation.acknowledge(
        request.app[STORE],
        job_id(request),
        worker_id=identity(request).worker(call.worker_id),
        lease_token=call.token,
        message=call.message,
        receipt=call.receipt,
    )
    return reply(job)


async def _end(request: web.Request, call: Held, ending: Ending) -> web.Response:
    worker_id = identity(request).worker(call.worker_id)
    job = await endings.finish_one(request.app[STORE], worker_id, ending)
    _observe(request, [job])
    return reply(job)


def _ending(each: Completed | Failed | Released) -> Ending:
    token = token_number(each.lease_token)
    match each:
        case Completed():
            return Complete(each.id, token, each.result_summary)
        case Failed():
            return Fail(each.id, token, each.error_message, each.retryable, each.failure_class)
    return Release(each.id, token, each.reason)


def _observe(request: web.Request, outcomes: Sequence[Job | SluicegateError]) -> None:
    for job in outcomes:
        if isinstance(job, Job) and job.started_at and job.finished_at:
            seconds = (from_rfc3339(job.finished_at) - from_rfc3339(job.started_at)) / 1000
            request.app[METRICS].jobs.run_seconds.labels(job.status).observe(seconds)
