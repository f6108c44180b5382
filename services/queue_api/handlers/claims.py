"""Claims, with their long polls, and heartbeats."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

import uuid_utils
from aiohttp import web

from services.queue_api.handlers.paths import job_id
from services.queue_api.keys import ALARMS, BELLS, GUARD_HITS
from sluicegate.auth.identity import Identity
from sluicegate.errors import SluicegateError
from sluicegate.http import (
    LONG_REQUESTS,
    METRICS,
    SETTINGS,
    STORE,
    admitted,
    body,
    gone,
    held_body,
    identity,
    reply,
)
from sluicegate.log import log
from sluicegate.model import Job, Policy
from sluicegate.operations import worker_calls
from sluicegate.operations.answers import ClaimAnswer
from sluicegate.operations.calls import ClaimCall, HeartbeatCall, HeartbeatManyCall
from sluicegate.store import claims, endings
from sluicegate.store.claims import Claimed
from sluicegate.times import from_rfc3339

LOOK_SECONDS: Final = 2.0
"""Of the claims that wait by one policy, one looks this often: a ring that was lost costs this and no job."""

UNWRITTEN: Final = "the reply to the claim could not be written"


async def claim(request: web.Request) -> web.Response:
    """The next jobs; with waitSeconds as soon as there is one. Nothing to do is a 200 without a job."""
    call = await body(request, ClaimCall)
    claimed = await claim_or_wait(request, identity(request), call)
    answer = reply(answer_to(claimed))
    await hand_over(request, answer, claimed.jobs, call.worker_id)
    return answer


async def heartbeat(request: web.Request) -> web.Response:
    call = await held_body(request, HeartbeatCall)
    return reply(await worker_calls.heartbeat(request.app[STORE], identity(request), job_id(request), call))


async def heartbeat_many(request: web.Request) -> web.Response:
    call = await held_body(request, HeartbeatManyCall)
    return reply(await worker_calls.heartbeat_many(request.app[STORE], identity(request), call))


def answer_to(claimed: Claimed) -> ClaimAnswer:
    return ClaimAnswer(
        job=claimed.jobs[0] if claimed.jobs else None,
        jobs=claimed.jobs,
        system=claimed.system,
        pause=claimed.pause,
    )


async def claim_or_wait(request: web.Request, who: Identity, call: ClaimCall) -> Claimed:
    """Claim, and again whenever there may be work, until the time is up. While paused it goes on waiting.

    Only the waiting ends early when the client goes away: it then claims no more (Q-16). After it the
    credential is looked at again: one that was revoked meanwhile claims nothing (Q-2).
    """
    worker_id = who.worker(call.worker_id)
    bells, long_requests = request.app[BELLS], request.app[LONG_REQUESTS]
    policy = worker_calls.policy(who, call, request.app[SETTINGS])
    request_id = call.request_id or str(uuid_utils.uuid4())
    loop = asyncio.get_running_loop()
    deadline = loop.time() + call.wait_seconds
    while True:
        await request.app[STORE].hearing.claimed(worker_id, policy)
        claimed = await _claim(request, call, policy, worker_id, request_id)
        left = deadline - loop.time()
        if claimed.jobs or left <= 0 or long_requests.over(request):
            return claimed
        rung = False
        async with long_requests.patience(request, left):
            if claimed.pause:
                # This worker gets nothing: a bell that it heard would be heard by nobody else.
                await asyncio.sleep(LOOK_SECONDS)
            else:
                rung = await bells.wait(policy, left)
        if long_requests.over(request):
            if rung:
                bells.pass_on(policy)
            return claimed
        try:
            await admitted(request, "worker")
        except SluicegateError:
            if rung:
                bells.pass_on(policy)
            raise


async def _claim(
    request: web.Request, call: ClaimCall, policy: Policy, worker_id: str, request_id: str
) -> Claimed:
    """Claim once. Whoever waits by the same policy is looked after, also when this call fails."""
    started = perf_counter()
    look_in = LOOK_SECONDS
    try:
        claimed = await claims.claim(
            request.app[STORE],
            policy,
            worker_id=worker_id,
            lease_ms=worker_calls.milliseconds(call.lease_seconds),
            limit=call.max_jobs,
            request_id=request_id,
        )
        look_in = _seconds_to_next(claimed)
    finally:
        if call.wait_seconds > 0:
            request.app[ALARMS].ring_in(policy, look_in)
    _observe(request, claimed, worker_id, perf_counter() - started)
    return claimed


async def hand_over(request: web.Request, answer: web.Response, jobs: list[Job], worker_id: str) -> None:
    """Write an answer with jobs here, to know whether it could be written; if not, they go back (Q-16)."""
    if not jobs:
        return
    try:
        if gone(request):
            raise ConnectionResetError("the client of a claim is gone")
        await answer.prepare(request)
        await answer.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        returned = [endings.Release(job.id, int(job.lease_token or 0), UNWRITTEN) for job in jobs]
        log.warning("claim_returned", worker=worker_id, job_ids=[job.id for job in jobs])
        await asyncio.shield(endings.settle(request.app[STORE], worker_id, returned))
        raise


def _seconds_to_next(claimed: Claimed) -> float:
    """Until the next delayed job is due, by the store's clock."""
    if claimed.next_due_ms is None:
        return LOOK_SECONDS
    return min(LOOK_SECONDS, max(0.001, (claimed.next_due_ms - claimed.now_ms) / 1000))


def _observe(request: web.Request, claimed: Claimed, worker_id: str, seconds: float) -> None:
    metrics = request.app[METRICS].jobs
    metrics.claim_seconds.observe(seconds)
    paused = claimed.system.workers_paused and not claimed.jobs
    if paused:
        request.app[GUARD_HITS].note(worker_id, claimed.system)
    elif claimed.pause:
        request.app[GUARD_HITS].note_narrow(worker_id, claimed.pause)
        paused = True
    metrics.claims.labels("jobs" if claimed.jobs else "paused" if paused else "empty").inc()
    for job in claimed.jobs:
        if job.attempt == 1 and not job.releases and job.started_at:
            waited = from_rfc3339(job.started_at) - from_rfc3339(job.created_at)
            metrics.wait_seconds.observe(waited / 1000)
