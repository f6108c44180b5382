"""The page of the jobs: filters in its address, pages, and many jobs at once."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.control.dashboard.board import Row
from services.control.dashboard.forms import Filled
from services.control.handlers import many_jobs
from services.control.handlers.pages import page, shown
from sluicegate.errors import Invalid
from sluicegate.http import SETTINGS, STORE
from sluicegate.model import ID_PATTERN, STATUSES, Job
from sluicegate.operations import jobs
from sluicegate.operations.calls import JobsQuery
from sluicegate.store import jobs as job_records

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
    )


@page
async def change(request: web.Request) -> web.Response:
    return await many_jobs.change(request, ("cancel", "retry"))


def _whole(text: str) -> str:
    if not ID_PATTERN.match(text):
        raise Invalid.field("id", "is not the whole id of a job")
    return text
