"""What both HTTP services share, on aiohttp.

Endpoint      one row of a service's table of addresses            endpoints.py
application   an app with health, metrics and the one middleware     service.py, edge.py
run, serving  listen until SIGTERM; stop quickly and in order        service.py
body, query   bytes and parameters into structs, or 4xx              requests.py
form          the fields of a page's form, proved to be one of ours  requests.py
held_body     the body of a call under a lease                       held.py
reply         a value as JSON                                        replies.py
LongRequests  long polls and streams that end with their client      long_requests.py
EventStream   Server-Sent Events                                     sse.py
"""

from sluicegate.http.edge import Admission, admitted, identity, let_in
from sluicegate.http.endpoints import Endpoint
from sluicegate.http.held import held_body
from sluicegate.http.keys import (
    ENDPOINTS,
    IDENTITIES,
    IDENTITY,
    LONG_REQUESTS,
    METRICS,
    REFUSAL_PAGE,
    SETTINGS,
    STORE,
)
from sluicegate.http.long_requests import LongRequests, gone
from sluicegate.http.origin import require_own_origin
from sluicegate.http.replies import problem, reply
from sluicegate.http.requests import body, form, form_fields, query
from sluicegate.http.service import application, run, serving
from sluicegate.http.sse import EventStream

__all__ = [
    "ENDPOINTS",
    "IDENTITIES",
    "IDENTITY",
    "LONG_REQUESTS",
    "METRICS",
    "REFUSAL_PAGE",
    "SETTINGS",
    "STORE",
    "Admission",
    "Endpoint",
    "EventStream",
    "LongRequests",
    "admitted",
    "application",
    "body",
    "form",
    "form_fields",
    "gone",
    "held_body",
    "identity",
    "let_in",
    "problem",
    "query",
    "reply",
    "require_own_origin",
    "run",
    "serving",
]
