"""The pages, and the streams that keep them live. A refusal is a page too."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from services.control.dashboard.live_board import OVERVIEW, LiveBoard
from services.control.dashboard.lookout import Lookout
from services.control.dashboard.rendering import Pages, policy
from sluicegate.errors import SluicegateError
from sluicegate.http import (
    IDENTITIES,
    IDENTITY,
    LONG_REQUESTS,
    SETTINGS,
    STORE,
    EventStream,
    admitted,
    query,
)
from sluicegate.store import pause as pause_record

PAGES: Final = web.AppKey("pages", Pages)
BOARD: Final = web.AppKey("board", LiveBoard)
LOOKOUT: Final = web.AppKey("lookout", Lookout)

RETRY_AFTER_SECONDS: Final = 1
OF_PROGRAMS: Final = ("/api/", "/mcp/", "/static/")
"""What stands below these is asked for by programs, also from a browser."""
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class PartsQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """parts: which of `live_board.PARTS` the page has, comma-separated."""

    parts: str = OVERVIEW


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page(handler: Handler) -> Handler:
    """An error leaves as a page with its status, whoever asks."""

    @functools.wraps(handler)
    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SluicegateError as error:
            answer = refusal(request, error)
            if error.status == 503:
                answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return answer

    return answered


async def refused(request: web.Request, error: SluicegateError) -> web.Response | None:
    """What a browser is shown whose page was never reached; None for a program, and the API."""
    if "text/html" not in request.headers.get("Accept", "") or request.path.startswith(OF_PROGRAMS):
        return None
    with contextlib.suppress(SluicegateError):
        request[IDENTITY] = await admitted(request, "viewer")
    return refusal(request, error)


def refusal(request: web.Request, error: SluicegateError) -> web.Response:
    return html(
        request,
        "error.html",
        status=error.status,
        problem=error.problem(),
        back=_place_before(request),
        live=None,
    )


def _place_before(request: web.Request) -> str:
    """The page that leads to this one."""
    parts = request.path.split("/")
    if request.method == "POST" and len(parts) == 2:
        return request.path
    return "/".join(parts[: 3 if len(parts) > 3 else 2]) if parts[1] == "jobs" and len(parts) > 2 else "/"


def html(
    request: web.Request, template: str, *, status: int = 200, nonce: str | None = None, **values: Any
) -> web.Response:
    """nonce: for the style elements that a script of the page makes."""
    who = request.get(IDENTITY)
    about: dict[str, Any] = {
        "who": who,
        "csrf": request.app[IDENTITIES].sessions.form_token(who) if who else "",
        "may_act": who is not None and who.at_least("operator"),
        "may_manage": who is not None and who.at_least("admin"),
        "path": request.path,
    }
    text = request.app[PAGES].render(template, nonce=nonce, **{**about, **values})
    headers = {**HEADERS, "Content-Security-Policy": policy(nonce)}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


async def shown(request: web.Request, template: str, **values: Any) -> web.Response:
    """A page with the state of the workers on its strip, which its stream keeps up to date (P-8)."""
    system = await pause_record.read(request.app[STORE])
    return html(request, template, system=system, **{"live": "/events?parts=strip", **values})


@page
async def overview(request: web.Request) -> web.Response:
    board = await request.app[LOOKOUT].board()
    return html(request, "overview.html", board=board, live="/events", refresh=True)


async def overview_events(request: web.Request) -> web.StreamResponse:
    """`put` events: a JSON text of HTML whose elements replace those with their ids."""
    waiting = request.app[LONG_REQUESTS]
    asked = query(request, PartsQuery).parts
    async with request.app[BOARD].viewing(tuple(asked.split(","))) as view:
        first = await view.changed()
        stream = await EventStream.open(request)
        # aiohttp would log a page that was closed in mid-write as an error of ours.
        with contextlib.suppress(ConnectionResetError):
            await stream.write(first)
            while not waiting.over(request):
                changed = b""
                async with waiting.patience(request, request.app[SETTINGS].sse_keepalive_seconds):
                    changed = await view.changed()
                if changed:
                    await stream.write(changed)
                elif not waiting.over(request):
                    await stream.keepalive()
    return stream.response


def _text(markup: str) -> bytes:
    return msgspec.json.encode(markup)
