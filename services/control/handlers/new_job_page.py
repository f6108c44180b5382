"""The page that makes a job: a task with its steps, or a job of any other type."""

from __future__ import annotations

import uuid_utils
from aiohttp import web

from services.control.dashboard import job_form
from services.control.dashboard.forms import Filled
from services.control.handlers.pages import page, shown
from sluicegate.errors import RequestError
from sluicegate.http import SETTINGS, STORE, form_fields, identity
from sluicegate.operations import jobs
from sluicegate.runtimes import RUNTIMES


@page
async def show(request: web.Request) -> web.Response:
    other = request.query.get("kind") == "other"
    return await _shown(request, job_form.tidied({"type": [""] if other else ["task"]}))


@page
async def change(request: web.Request) -> web.Response:
    """`do` says what: enqueue; only check, by the same rules; or one step more.

    The id stands in the form, so that one that is sent twice makes one job.
    """
    fields = await form_fields(request)
    do = fields.get("do", ["enqueue"])[-1]
    filled = job_form.tidied(fields, one_more=do == "add")
    if do == "add":
        return await _shown(request, filled)
    settings, actor = request.app[SETTINGS], identity(request).user_id
    try:
        document = job_form.document(filled)
        new = job_form.new_job(document)
        if do == "check":
            jobs.prepare(new, actor=actor, settings=settings)
            curl = job_form.curl(document, with_token=settings.auth == "required")
            return await _shown(request, filled, curl=curl)
        outcome = await jobs.enqueue(request.app[STORE], new, actor=actor)
    except RequestError as error:
        return await _shown(request, filled.refused(error), status=error.status)
    raise web.HTTPSeeOther(f"/jobs/{outcome.job.id}")


async def _shown(
    request: web.Request, filled: Filled, *, curl: str | None = None, status: int = 200
) -> web.Response:
    used = filled.code == "idempotency_conflict"
    return await shown(
        request,
        "new_job.html",
        status=status,
        filled=filled,
        curl=curl,
        id=str(uuid_utils.uuid7()) if used or not filled.get("id") else filled.get("id"),
        step_count=job_form.step_count(filled),
        runtimes=RUNTIMES,
    )
