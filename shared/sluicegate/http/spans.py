"""The span of a request: of each that changes something, in the trace that its caller brings.

What a worker says of its job (claims, heartbeats, events, endings) has one only when it brings a trace, as it
does from within an attempt: by itself it would be a trace of its own, several times a minute. What waited
because it was asked to has none: its length says nothing.
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
    parent = tracing.from_headers(request.headers)
    if request.method in READING or endpoint is None or (endpoint.may == "worker" and parent is None):
        return await handler(request)
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
