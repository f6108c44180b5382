"""What operators do with one job: a page that says what will happen, and the doing of it (C-9, H-10, L-5)."""

from __future__ import annotations

from aiohttp import web

from services.control.dashboard import actions
from services.control.dashboard.actions import ACTIONS, Action
from services.control.dashboard.board import shown_status
from services.control.dashboard.forms import Filled
from services.control.handlers.pages import page, shown
from sluicegate.errors import Conflict, NotFound, RequestError
from sluicegate.http import STORE, identity
from sluicegate.model import Job
from sluicegate.operations import live_sessions, messages, retries, run_control
from sluicegate.operations.calls import CancelCall, RetryCall
from sluicegate.operations.live_sessions import CreateCall, GrantCall, RevokeCall
from sluicegate.operations.messages import MessageCall
from sluicegate.operations.run_control import ControlCall
from sluicegate.store import cancellation
from sluicegate.store import jobs as job_records


@page
async def ask(request: web.Request) -> web.Response:
    """The form of one action; `stepId` in the address chooses the step."""
    filled = Filled.of(stepId=request.query.get("stepId"))
    return await _asked(request, _action(request), await _job(request), filled)


@page
async def act(request: web.Request) -> web.Response:
    """Done, and back to the job; refused, the form again with why."""
    action, job, filled = _action(request), await _job(request), await Filled.read(request)
    try:
        if action.name == "grant":
            return await _granted(request, job, filled)
        target = await _carry_out(request, action, job.id, filled)
    except RequestError as error:
        again = error.extra.get("jobId")
        return await _asked(
            request, action, await _job(request), filled.refused(error), status=error.status, again=again
        )
    raise web.HTTPSeeOther(f"/jobs/{target}")


async def _carry_out(request: web.Request, action: Action, job_id: str, filled: Filled) -> str:
    """The job to show then."""
    store, actor = request.app[STORE], identity(request).user_id
    if action.name == "cancel":
        reason = filled.call(CancelCall).reason
        return (await cancellation.cancel(store, job_id, actor=actor, reason=reason)).id
    if action.name == "retry":
        return await _retried(request, job_id, filled.call(RetryCall).reason)
    if action.name == "message":
        await messages.send(store, job_id, filled.call(MessageCall), actor=actor)
        return job_id
    if action.name == "open_session":
        await live_sessions.create(store, job_id, filled.call(CreateCall), actor=actor)
        return job_id
    if action.name == "revoke":
        await live_sessions.revoke(store, job_id, filled.call(RevokeCall), actor=actor)
        return job_id
    more = {"hard": "true"} if action.hard else {}
    call = filled.call(ControlCall, action=str(action.control), **more)
    return (await run_control.control(store, job_id, call, actor=actor)).id


async def _retried(request: web.Request, job_id: str, reason: str | None) -> str:
    """The job that runs again. Raises Conflict where it was retried before: whoever comes second is told."""
    outcome = await retries.retry(request.app[STORE], job_id, actor=identity(request).user_id, reason=reason)
    if not outcome.changed:
        raise Conflict("it was retried before, and is not retried twice", jobId=outcome.job.id)
    return outcome.job.id


async def _granted(request: web.Request, job: Job, filled: Filled) -> web.Response:
    """Back to the job, whose terminal now takes what is typed; or the ways to write, which are told once."""
    store, actor = request.app[STORE], identity(request).user_id
    answer = await live_sessions.grant(store, job.id, filled.call(GrantCall), actor=actor)
    if answer.attach_rw is None:
        raise web.HTTPSeeOther(f"/jobs/{job.id}")
    return await shown(request, "granted.html", job=job, granted=answer)


async def _asked(
    request: web.Request,
    action: Action,
    job: Job,
    filled: Filled,
    *,
    status: int = 200,
    again: str | None = None,
) -> web.Response:
    state = shown_status(job)
    return await shown(
        request,
        "action.html",
        status=status,
        job=job,
        shown=state,
        action=action,
        will=actions.consequence(action, job, state),
        steps=actions.task_steps(job) if "stepId" in action.fields else [],
        filled=filled,
        again=again,
    )


def _action(request: web.Request) -> Action:
    found = ACTIONS.get(request.match_info["action"])
    if found is None:
        raise NotFound("there is nothing at this address")
    return found


async def _job(request: web.Request) -> Job:
    return await job_records.get(request.app[STORE], request.match_info["id"])
