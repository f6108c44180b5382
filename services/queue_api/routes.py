"""The addresses of the queue's REST service."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.queue_api.handlers import claims, endings, events, jobs

JOBS: Final = "/api/queue/jobs"
JOB: Final = JOBS + "/{id}"

ROUTES: Final = (
    web.post(JOBS, jobs.enqueue),
    web.get(JOBS, jobs.listing),
    web.post(JOBS + "/batch", jobs.enqueue_many),
    web.post(JOBS + "/claim", claims.claim),
    web.post(JOBS + "/heartbeat", claims.heartbeat_many),
    web.post(JOBS + "/finish", endings.finish),
    web.get(JOB, jobs.get),
    web.post(JOB + "/heartbeat", claims.heartbeat),
    web.post(JOB + "/complete", endings.complete),
    web.post(JOB + "/fail", endings.fail),
    web.post(JOB + "/release", endings.release),
    web.post(JOB + "/cancel", jobs.cancel),
    web.post(JOB + "/cancel/ack", endings.acknowledge_cancel),
    web.post(JOB + "/events", events.append),
    web.get(JOB + "/events", events.page),
    web.get(JOB + "/events/stream", events.stream, allow_head=False),
)
