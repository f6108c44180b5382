"""The pages, and the streams that keep them live. A refusal is a page too."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from services.control.dashboard import actions, job_page
from services.control.dashboard.board import Row, shown_status
from services.control.dashboard.live_board import GAP_SECONDS, LONGEST_SECONDS, OVERVIEW, LiveBoard
from services.control.dashboard.lookout import Lookout
from services.control.dashboard.rendering import Pages, has_xterm, policy
from sluicegate.errors import NotFound, SluicegateError
from sluicegate.http import (
    IDENTITIES,
    IDENTITY,
    LONG_REQUESTS,
    SETTINGS,
    STORE,
    EventStream,
    admitted,
    identity,
    query,
)
from sluicegate.http.sse import frame
from sluicegate.model import Event, Job, SystemState
from sluicegate.operations import ladder, why
from sluicegate.store import controls
from sluicegate.store import jobs as job_records
from sluicegate.store import live_sessions as live_records
from sluicegate.store import pause as pause_record
from sluicegate.store.live_events import Follower, LiveEvents

PAGES: Final = web.AppKey("pages", Pages)
BOARD: Final = web.AppKey("board", LiveBoard)
LOOKOUT: Final = web.AppKey("lookout", Lookout)
LIVE_EVENTS: Final = web.AppKey("live_events", LiveEvents)

LIVE_PARTS: Final = (
    "parts/strip.html",
    "parts/job.html",
    "parts/actions.html",
    "parts/recovery.html",
    "parts/why.html",
    "parts/session.html",
    "parts/controls.html",
)
"""Of the page of a job: what is sent again when the job or the pause changes."""
CONTROLS_SHOWN: Final = 50
RETRY_AFTER_SECONDS: Final = 1
OF_PROGRAMS: Final = ("/api/", "/mcp/", "/static/")
"""What stands below these is asked for by programs, also from a browser."""
NOTHING_SEEN: Final = "0-0"
OF_THE_LADDER: Final = tuple(f"<code>{prefix}".encode() for prefix in ladder.OF_THE_LADDER)
"""What an event that changes the ladder looks like as it is sent; output is escaped and never does."""
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


@page
async def job(request: web.Request) -> web.Response:
    store = request.app[STORE]
    found = await job_records.get(store, request.match_info["id"])
    lines, earlier = await job_page.latest_lines(store, found.id)
    return html(
        request,
        "job.html",
        job=found,
        system=await pause_record.read(store),
        **await _standing(request, found),
        rungs=await job_page.rungs(store, found),
        recordings=await job_page.recordings(store, found.id),
        xterm=has_xterm(),
        nonce=secrets.token_urlsafe(16) if found.type == "task" else None,
        events=lines,
        earlier=earlier,
        shown=len(lines),
        last=lines[-1].id if lines else NOTHING_SEEN,
        live=f"/jobs/{found.id}/events",
    )


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


async def job_events(request: web.Request) -> web.StreamResponse:
    """`put` as above; `append`: HTML whose elements' content goes to the end of `data-into`; `end`."""
    job_id = request.match_info["id"]
    after = request.headers.get("Last-Event-ID") or request.query.get("after") or NOTHING_SEEN
    async with request.app[LIVE_EVENTS].follow(job_id, after) as follower:
        stream = await EventStream.open(request)
        with contextlib.suppress(ConnectionResetError, NotFound):
            await _follow(request, stream, follower, job_id)
        with contextlib.suppress(ConnectionResetError):
            if not request.app[LONG_REQUESTS].over(request):
                await stream.send(_text(""), event="end")
    return stream.response


async def _follow(request: web.Request, stream: EventStream, follower: Follower, job_id: str) -> None:
    """Send what is new until the job has ended and everything was sent, or raise NotFound."""
    store, pages, waiting = request.app[STORE], request.app[PAGES], request.app[LONG_REQUESTS]
    told: tuple[Job, str, SystemState] | None = None
    while not waiting.over(request):
        over = follower.over  # before the job is read: what is shown last is how it ended
        found, system = await job_records.get(store, job_id), await pause_record.read(store)
        if (now := (found, shown_status(found), system)) != told:
            told = now
            values = {"job": found, "system": system, **await _standing(request, found)}
            await stream.send(
                _text("".join(pages.render(each, **values) for each in LIVE_PARTS)), event="put"
            )
        climbed = False
        while lines := await follower.take():
            if not await stream.write_soon(b"".join(lines), request, waiting):
                return
            climbed = climbed or any(mark in line for line in lines for mark in OF_THE_LADDER)
        if climbed and found.type == "task":
            rungs = await job_page.rungs(store, found)
            await stream.send(_text(pages.render("parts/ladder.html", job=found, rungs=rungs)), event="put")
        if over:
            return
        if not follower.over:
            await stream.keepalive()
            async with waiting.patience(request, LONGEST_SECONDS):
                await asyncio.sleep(GAP_SECONDS)
                await follower.more()


async def _standing(request: web.Request, job: Job) -> dict[str, Any]:
    """How the job is, what it waits for, and what the reader may do about it."""
    row, store = Row.of(job), request.app[STORE]
    known = await live_records.read(store, job.id) if job.type == "task" else None
    session = known.session if known else None
    return {
        "row": row,
        "may_act": identity(request).at_least("operator"),
        "offers": actions.offered(job, row.shown),
        "steps": actions.steps(job),
        "reasons": (await why.of(store, job)).reasons,
        "session": session,
        "session_offers": actions.offered_of_session(job, session),
        "controls": await controls.latest(store, job.id, CONTROLS_SHOWN),
    }


def appended(pages: Pages, event: Event) -> bytes:
    """One event as every viewer of its job is sent it."""
    markup = pages.render("parts/append.html", events=[job_page.Line.of(event)])
    return frame(_text(markup), event="append", id=event.id)


def _text(markup: str) -> bytes:
    return msgspec.json.encode(markup)
