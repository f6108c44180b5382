"""How a worker ends its attempts: complete, fail, release, many at once, and cancelled as asked."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.queue_api.handlers.paths import job_id
from sluicegate.errors import SluicegateError
from sluicegate.http import METRICS, STORE, held_body, identity, reply
from sluicegate.metrics import ServerMetrics
from sluicegate.model import Job
from sluicegate.operations import worker_calls
from sluicegate.operations.answers import Items, JobItem
from sluicegate.operations.calls import CancelAckCall, CompleteCall, FailCall, FinishCall, ReleaseCall
from sluicegate.times import from_rfc3339


async def complete(request: web.Request) -> web.Response:
    call = await held_body(request, CompleteCall)
    job = await worker_calls.complete(request.app[STORE], identity(request), job_id(request), call)
    return _ended(request, job)


async def fail(request: web.Request) -> web.Response:
    call = await held_body(request, FailCall)
    job = await worker_calls.fail(request.app[STORE], identity(request), job_id(request), call)
    return _ended(request, job)


async def release(request: web.Request) -> web.Response:
    call = await held_body(request, ReleaseCall)
    job = await worker_calls.release(request.app[STORE], identity(request), job_id(request), call)
    return _ended(request, job)


async def acknowledge_cancel(request: web.Request) -> web.Response:
    call = await held_body(request, CancelAckCall)
    return reply(
        await worker_calls.acknowledge_cancel(request.app[STORE], identity(request), job_id(request), call)
    )


async def finish(request: web.Request) -> web.Response:
    """Up to 100 of one worker's attempts, each ended in its own way: 207 with one item per attempt."""
    call = await held_body(request, FinishCall)
    outcomes = await worker_calls.finish(request.app[STORE], identity(request), call)
    observe(request.app[METRICS], outcomes)
    items = [JobItem.of(each.id, outcome) for each, outcome in zip(call.jobs, outcomes, strict=True)]
    return reply(Items(items=items), status=207)


def observe(metrics: ServerMetrics, outcomes: Sequence[Job | SluicegateError]) -> None:
    """Measure the runs that have ended."""
    for job in outcomes:
        if isinstance(job, Job) and job.started_at and job.finished_at:
            seconds = (from_rfc3339(job.finished_at) - from_rfc3339(job.started_at)) / 1000
            metrics.jobs.run_seconds[job.status].observe(seconds)


def _ended(request: web.Request, job: Job) -> web.Response:
    observe(request.app[METRICS], [job])
    return reply(job)
