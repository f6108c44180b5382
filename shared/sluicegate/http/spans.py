"""The span of a request: of each that changes something, in the trace that its caller brings.

What a worker says of its job has none: claims, heartbeats and what its terminal shows come many times a
minute, for hours, and the worker's own spans tell its story. Nor has what waited because it was asked to: its
length says nothing.
"""

from __future__ import annotations

from aiohttp import web

from sluicegate import tracing
from sluicegate.http.edge import Handler, route
from sluicegate.http.keys import ENDPOINTS
from sluicegate.http.long_requests import LONG
from sluicegate.http.origin import READING


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    endpoint = request.app[ENDPOINTS].of(request)
    if request.method in READING or endpoint is None or endpoint.may == "worker":
        return await handler(request)
    parent = tracing.from_headers(request.headers)
    with tracing.spans().request(request.method, route(request), parent) as span:
        try:
            response = await handler(request)
            span.answered(response.status)
        except web.HTTPException as redirect:
            span.answered(redirect.status)
            raise
        finally:
            if LONG in request:
                span.forget()
        return response
