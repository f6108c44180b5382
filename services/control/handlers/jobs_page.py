"""The page of the jobs: filters in its address, pages, many jobs at once, and its rows kept up to date."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec
from aiohttp import web

from services.control.dashboard.board import Row
from services.control.dashboard.forms import Filled
from services.control.dashboard.live_rows import LiveRows
from services.control.handlers import many_jobs
from services.control.handlers.pages import page, shown
from sluicegate.errors import Invalid
from sluicegate.http import LONG_REQUESTS, SETTINGS, STORE, EventStream, identity
from sluicegate.model import ID_PATTERN, STATUSES, Job
from sluicegate.operations import jobs
from sluicegate.operations.calls import JobsQuery
from sluicegate.store import jobs as job_records

ROWS: Final = web.AppKey("rows", LiveRows)
MOST_ROWS: Final = 200
MANY_FIELDS: Final = ("status", "type", "repository", "createdAfter", "createdBefore")
"""By these all that fit can be changed at once; `claimedBy` only narrows what is shown."""


@page
async def show(request: web.Request) -> web.Response:
    filled = Filled.asked(request, "createdAfter", "createdBefore")
    found: list[Job] = []
    following, status = None, 200
    try:
        if wanted := filled.get("id").strip().lower():
            raise web.HTTPSeeOther(f"/jobs/{_whole(wanted)}")
        asked = filled.call(JobsQuery)
        chosen = jobs.job_filter(asked, request.app[SETTINGS])
        found, following = await job_records.listing(
            request.app[STORE], chosen, cursor=asked.cursor, limit=asked.limit
        )
    except Invalid as error:
        filled.refused(error)
        status = error.status
    narrowed = {name: filled.get(name) for name in MANY_FIELDS if filled.get(name)}
    return await shown(
        request,
        "jobs.html",
        status=status,
        filled=filled,
        rows=[Row.of(job) for job in found],
        statuses=STATUSES,
        narrowed={} if filled.get("claimedBy") else narrowed,
        asked=bool(narrowed or filled.get("claimedBy")),
        first=filled.address("/jobs", cursor=None) if filled.get("cursor") else None,
        more=following and filled.address("/jobs", cursor=following),
        live=_stream_of(filled, found) if filled.refusal is None else "/events?parts=strip",
    )


async def events(request: web.Request) -> web.StreamResponse:
    """`put`, as on the overview: the rows that the page has, how many more fit now, the strip."""
    filled, waiting = Filled.asked(request), request.app[LONG_REQUESTS]
    counting = jobs.job_filter(filled.call(JobsQuery), request.app[SETTINGS])
    ticked = identity(request).at_least("operator")
    async with request.app[ROWS].viewing(
        _ids(filled.get("rows")), counting=None if filled.get("cursor") else counting, ticked=ticked
    ) as view:
        stream = await EventStream.open(request)
        # aiohttp would log a page that was closed in mid-write as an error of ours.
        with contextlib.suppress(ConnectionResetError):
            while not waiting.over(request):
                changed = ""
                async with waiting.patience(request, request.app[SETTINGS].sse_keepalive_seconds):
                    changed = await view.changed()
                if changed:
                    await stream.send(msgspec.json.encode(changed), event="put")
                elif not waiting.over(request):
                    await stream.keepalive()
    return stream.response


def _stream_of(filled: Filled, rows: list[Job]) -> str:
    """The address of the page's stream: it names the rows that are there, without the dashes of their ids."""
    return filled.address("/jobs/events", rows=".".join(job.id.replace("-", "") for job in rows))


def _ids(text: str) -> list[str]:
    """The rows' jobs. Raises Invalid."""
    names = text.split(".") if text else []
    ids = [f"{each[:8]}-{each[8:12]}-{each[12:16]}-{each[16:20]}-{each[20:]}" for each in names]
    if len(ids) > MOST_ROWS or not all(ID_PATTERN.match(each) for each in ids):
        raise Invalid.field("rows", f"must name up to {MOST_ROWS} jobs")
    return ids


@page
async def change(request: web.Request) -> web.Response:
    return await many_jobs.change(request, ("cancel", "retry"))


def _whole(text: str) -> str:
    if not ID_PATTERN.match(text):
        raise Invalid.field("id", "is not the whole id of a job")
    return text
