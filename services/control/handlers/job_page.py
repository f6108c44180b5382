"""The page of a job, and the stream that keeps it live: how it is, what became of it, what it puts out."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import Any, Final

import msgspec
from aiohttp import web

from services.control.dashboard import job_page, output_view
from services.control.dashboard.board import Row, shown_status
from services.control.dashboard.live_board import GAP_SECONDS, LONGEST_SECONDS
from services.control.dashboard.output_view import SHOWS, OutputQuery, View
from services.control.dashboard.pieces import Piece
from services.control.dashboard.rendering import has_xterm
from services.control.dashboard.state_line import Facts, idle, state_line
from services.control.dashboard.timelines import Timelines
from services.control.handlers.pages import PAGES, html, page
from sluicegate.errors import NotFound
from sluicegate.http import LONG_REQUESTS, STORE, EventStream, identity, query
from sluicegate.http.sse import frame
from sluicegate.model import Job, SystemState
from sluicegate.store import jobs as job_records
from sluicegate.store import pause as pause_record
from sluicegate.store.live_events import Follower, LiveEvents

LIVE_EVENTS: Final = web.AppKey("live_events", LiveEvents[Piece])
TIMELINES: Final = web.AppKey("timelines", Timelines)

PARTS: Final = (
    "strip", "job", "actions", "recovery", "why", "attempts", "session", "artifacts", "controls",
)  # fmt: skip
"""What is sent again when it has changed, once something of the job has."""
REASONS_SECONDS: Final = 10.0
"""So often it is asked anew why a job waits: its place in the lane changes with other jobs."""
NOTHING_SEEN: Final = "0-0"


class StreamQuery(OutputQuery, kw_only=True):
    """after: the event behind which it goes on. before: given, the output stays as it is."""

    after: str = NOTHING_SEEN


@page
async def show(request: web.Request) -> web.Response:
    store, asked = request.app[STORE], query(request, OutputQuery)
    job = await job_records.get(store, request.match_info["id"])
    seen = await output_view.latest(store, job.id, asked, Piece)
    told = await job_page.facts(store, request.app[TIMELINES], job, await pause_record.read(store))
    values = await job_page.standing(store, told)
    return html(
        request,
        "job.html",
        **values,
        recordings=job_page.recordings(values["artifacts"]),
        xterm=has_xterm(),
        nonce=secrets.token_urlsafe(16) if job.type == "task" else None,
        asked=asked,
        shows=SHOWS,
        seen=seen,
        last=seen.last,
        live=asked.address(f"/jobs/{job.id}/events", before=asked.before),
    )


async def events(request: web.Request) -> web.StreamResponse:
    """`put`: a JSON text of HTML whose elements replace those with their ids; `append`: HTML whose elements'
    content goes to the end of `data-into`; `end`."""
    asked = query(request, StreamQuery)
    job_id = request.match_info["id"]
    after = request.headers.get("Last-Event-ID") or asked.after
    async with request.app[LIVE_EVENTS].follow(job_id, after) as follower:
        stream = await EventStream.open(request)
        with contextlib.suppress(ConnectionResetError, NotFound):
            await _LivePage(request, stream, follower, job_id, asked).keep()
        with contextlib.suppress(ConnectionResetError):
            if not request.app[LONG_REQUESTS].over(request):
                await stream.send(_text(""), event="end")
    return stream.response


class _LivePage:
    """One open page of a job, from what it was sent last."""

    def __init__(
        self,
        request: web.Request,
        stream: EventStream,
        follower: Follower[Piece],
        job_id: str,
        asked: StreamQuery,
    ) -> None:
        self._request, self._stream, self._follower, self._job_id = request, stream, follower, job_id
        self._store, self._pages = request.app[STORE], request.app[PAGES]
        self._view = None if asked.before else View(asked)
        self._told: tuple[Job, str, SystemState] | None = None
        self._facts: Facts | None = None
        self._reasons_at = 0.0
        self._sent: dict[str, str] = {}

    async def keep(self) -> None:
        """Send what is new until the job has ended and everything was sent, or raise NotFound."""
        waiting = self._request.app[LONG_REQUESTS]
        story = False
        while not waiting.over(self._request):
            over = self._follower.over  # before the job is read: what is shown last is how it ended
            await self._tell_state(story)
            pieces: list[Piece] = []
            while news := await self._follower.take():
                pieces += news
                if len(pieces) > 2 * output_view.MOST_PIECES:  # more than is shown: the rest comes next
                    break
            story = any(piece.story for piece in pieces)
            if pieces and not await self._append(pieces):
                return
            if over and not story:
                return
            if not self._follower.over and not story:
                await self._stream.keepalive()
                async with waiting.patience(self._request, LONGEST_SECONDS):
                    await asyncio.sleep(GAP_SECONDS)
                    await self._follower.more()

    async def _tell_state(self, story: bool) -> None:
        """All parts when the job, the pause or the timeline has changed; else only what time has changed."""
        job, system = await job_records.get(self._store, self._job_id), await pause_record.read(self._store)
        now = (job, shown_status(job), system)
        waits = job.status == "queued" and time.monotonic() - self._reasons_at >= REASONS_SECONDS
        if story or waits or now != self._told or self._facts is None:
            self._told, self._reasons_at = now, time.monotonic()
            self._facts = await job_page.facts(self._store, self._request.app[TIMELINES], job, system)
            values = await job_page.standing(self._store, self._facts)
            await self._put(PARTS, values)
        elif job.status == "running":
            before = idle(self._facts)
            self._facts = await job_page.with_presence(self._store, self._facts)
            if idle(self._facts) != before:
                await self._put(("state",), {"row": Row.of(job), "line": state_line(self._facts)})

    async def _put(self, parts: tuple[str, ...], values: dict[str, Any]) -> None:
        may_act = identity(self._request).at_least("operator")
        fresh = []
        for name in parts:
            markup = self._pages.render(f"parts/{name}.html", may_act=may_act, **values)
            if self._sent.get(name) != markup:
                self._sent[name] = markup
                fresh.append(markup)
        if fresh:
            await self._stream.send(_text("".join(fresh)), event="put")

    async def _append(self, pieces: list[Piece]) -> bool:
        """False when the client takes nothing. Its place is told it also when nothing of them is shown."""
        markup = output_view.fresh(self._view, pieces) if self._view is not None else ""
        if not markup:
            await self._stream.place(pieces[-1].id)
            return True
        body = _text(f'<div data-into="output">{markup}</div>')
        sent = frame(body, event="append", id=pieces[-1].id)
        return await self._stream.write_soon(sent, self._request, self._request.app[LONG_REQUESTS])


def _text(markup: str) -> bytes:
    return msgspec.json.encode(markup)
