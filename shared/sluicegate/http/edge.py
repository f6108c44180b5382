"""The one middleware: who calls, from where, how it ended, how long it took.

Identity and origin come before the handler looks at anything; every error leaves as a problem document, or
for a person as a page, an unexpected one without its text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sluicegate import errors
from sluicegate.auth.identity import Access, Identity, Role
from sluicegate.errors import SluicegateError
from sluicegate.http.keys import ENDPOINTS, IDENTITIES, IDENTITY, METRICS, RATE_LIMITS, REFUSAL_PAGE, SETTINGS
from sluicegate.http.long_requests import LONG, gone
from sluicegate.http.origin import READING, require_own_origin
from sluicegate.http.replies import problem
from sluicegate.http.sse import OPENED
from sluicegate.log import log

CLIENT_GONE: Final = 499
FOR_BOTH: Final = ("Allow", "Retry-After")
"""What a refusal says in its headers, whoever it is for."""
NO_HEADERS: Final[Mapping[str, str]] = {}
CSRF_HEADER: Final = "X-CSRF-Token"
_REFUSALS: Final[dict[int, tuple[type[SluicegateError], str]]] = {
    400: (errors.BadRequest, "the request is malformed"),
    404: (errors.NotFound, "there is nothing at this address"),
    405: (errors.MethodNotAllowed, "this address does not take that method"),
    413: (errors.TooLarge, "the body is larger than SLUICEGATE_MAX_BODY_BYTES"),
    415: (errors.UnsupportedMediaType, "send the body as application/json"),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = perf_counter()
    status = CLIENT_GONE
    try:
        response = await _answer(request, handler)
        status = response.status
        return response
    except web.HTTPException as redirect:
        status = redirect.status
        raise
    finally:
        seconds = None if LONG in request else perf_counter() - started
        request.app[METRICS].http.observe(request.method, route(request), status, seconds)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    endpoint = request.app[ENDPOINTS].of(request)
    try:
        if request.method not in READING:
            require_own_origin(request, request.app[SETTINGS])
        if endpoint is not None and endpoint.may != "open":
            await let_in(
                request, endpoint.may, endpoint.also,
                unlimited=endpoint.unlimited, has_form=endpoint.form is not None,
            )  # fmt: skip
        return await handler(request)
    except SluicegateError as error:
        if error.status in (401, 403):
            request.app[METRICS].auth_failures.labels(error.code).inc()
        if error.status == 401 and endpoint is not None and endpoint.login is not None:
            raise web.HTTPSeeOther(f"{endpoint.login}?{urlencode({'after': request.path_qs})}") from None
        return request.get(OPENED) or await _refused(request, error)
    except web.HTTPException as error:
        if error.status not in _REFUSALS:
            raise
        kind, detail = _REFUSALS[error.status]
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return await _refused(request, kind(detail), allow)
    except asyncio.CancelledError:
        raise
    except ConnectionError:
        # A client that leaves is no error, and aiohttp would log it as one.
        if OPENED in request:
            return request[OPENED]
        if gone(request):
            return web.Response(status=CLIENT_GONE)
        raise
    except Exception as error:  # noqa: BLE001  the last line of defence: logged, never shown
        log.error("request_failed", error=error, method=request.method, route=route(request))
        failure = SluicegateError("something went wrong here; the log of the service says what")
        return request.get(OPENED) or await _refused(request, failure)


async def _refused(
    request: web.Request, error: SluicegateError, headers: Mapping[str, str] = NO_HEADERS
) -> web.StreamResponse:
    """A problem document; a page for a person, where the app has pages."""
    answer = problem(error, headers)
    if (shown := request.app.get(REFUSAL_PAGE)) is None or (page := await shown(request, error)) is None:
        return answer
    page.headers.update({name: answer.headers[name] for name in FOR_BOTH if name in answer.headers})
    return page


async def let_in(
    request: web.Request,
    may: Access,
    also: Sequence[Role] = (),
    *,
    unlimited: bool = False,
    has_form: bool = False,
) -> None:
    """Note who calls. Raises Unauthenticated, Forbidden, Busy."""
    who = await admitted(request, may, also)
    request[IDENTITY] = who
    if not unlimited:
        request.app[RATE_LIMITS].take(who.caller)
    if not has_form:
        _require_csrf_token(request)


def _require_csrf_token(request: web.Request) -> None:
    """What a session changes brings its CSRF token; a form has it in a field, which `http.form` looks at."""
    session = request[IDENTITY].session
    if session is None or request.method in READING:
        return
    if not session.proved_by(request.headers.get(CSRF_HEADER)):
        raise errors.Forbidden(f"a session needs its token in {CSRF_HEADER} too", code="csrf_failed")


async def admitted(request: web.Request, may: Access, also: Sequence[Role] = ()) -> Identity:
    """The caller, looked at now. Raises Unauthenticated, Forbidden, StoreUnavailable."""
    return await request.app[IDENTITIES].admit(request.headers, may, also)


class Admission:
    """The caller of a stream, looked at again every so often: a revoked credential ends its streams."""

    def __init__(self, request: web.Request, may: Access, also: Sequence[Role] = ()) -> None:
        self._request, self._may, self._also = request, may, also
        self._every = request.app[SETTINGS].sse_keepalive_seconds
        self._looked = perf_counter()
        self._holds = True

    async def holds(self) -> bool:
        """Whether to go on. Ask with every turn: it looks at most once per keepalive, and a no stays a no."""
        if self._holds and perf_counter() - self._looked >= self._every:
            self._looked = perf_counter()
            try:
                await admitted(self._request, self._may, self._also)
            except SluicegateError:
                self._holds = False
        return self._holds


def identity(request: web.Request) -> Identity:
    """Who makes this request."""
    return request[IDENTITY]


def route(request: web.Request) -> str:
    """The route's template, such as `/api/queue/jobs/{id}`: never a value from the request."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"
