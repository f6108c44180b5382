"""The page that makes a job: a task with its steps, or a job of any other type."""

from __future__ import annotations

from typing import Any

import uuid_utils
from aiohttp import web

from services.control.dashboard import job_form
from services.control.dashboard.forms import Filled
from services.control.handlers.pages import page, shown
from sluicegate.errors import RequestError
from sluicegate.http import SETTINGS, STORE, form_fields, identity, reply
from sluicegate.operations import jobs
from sluicegate.runtimes import RUNTIMES


@page
async def show(request: web.Request) -> web.Response:
    other = request.query.get("kind") == "other"
    return await _shown(request, job_form.tidied({"type": [""] if other else ["task"]}))


@page
async def change(request: web.Request) -> web.Response:
    """`do` says what: enqueue; only check, by the same rules; or add, move or leave out a step.

    The id stands in the form, so that one that is sent twice makes one job.
    """
    fields = await form_fields(request)
    do = fields.get("do", ["enqueue"])[-1]
    if do not in ("enqueue", "check"):
        return await _shown(request, job_form.arranged(fields, do))
    filled = job_form.tidied(fields)
    try:
        document = job_form.document(filled)
        if do == "check":
            return await _shown(request, filled, curl=_checked(request, document))
        new = job_form.new_job(document)
        outcome = await jobs.enqueue(request.app[STORE], new, actor=identity(request).user_id)
    except RequestError as error:
        return await _shown(request, filled.refused(error), status=error.status)
    raise web.HTTPSeeOther(f"/jobs/{outcome.job.id}")


async def check(request: web.Request) -> web.Response:
    """What is wrong with a form that is being filled in, by the queue's own rules; nothing is changed.

    `{curl}` of a job that would be accepted, else `{errors: {field: what is wrong}, refusal}`.
    """
    fields = await form_fields(request)
    filled = job_form.tidied(fields)
    try:
        return reply({"curl": _checked(request, job_form.document(filled))})
    except RequestError as error:
        written = job_form.written_steps(fields)
        wrong = filled.refused(error).errors
        errors = {job_form.place(path, written): message for path, message in wrong.items()}
        return reply({"errors": errors, "refusal": error.detail})


def _checked(request: web.Request, document: dict[str, Any]) -> str:
    """The call that makes this job. Raises Invalid, TooLarge where it would be refused."""
    settings = request.app[SETTINGS]
    jobs.prepare(job_form.new_job(document), actor=identity(request).user_id, settings=settings)
    return job_form.curl(document, with_token=settings.auth == "required")


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
