"""The queue's tools for agents: the calls of REST in one envelope (60-2, 70-20).

Each tool runs what the REST handler of its call runs, for the identity that this call asks for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from services.queue_api.handlers import claims, endings, events, jobs
from services.queue_api.handlers.paths import known_form
from services.queue_api.keys import FILES
from sluicegate.errors import Invalid, RequestError
from sluicegate.http import METRICS, SETTINGS, STORE, admitted, body, identity, let_in, reply
from sluicegate.model import Job
from sluicegate.operations import artifacts, leases, pause, worker_calls
from sluicegate.operations.answers import HeartbeatAnswer
from sluicegate.operations.tool_schema import ToolAnswer, ToolsAnswer, listing
from sluicegate.operations.tools import TOOLS, Tool, ToolCall, invalid_arguments, named
from sluicegate.store.shelves import Artifact


async def listed(_: web.Request) -> web.Response:
    """The same for everybody: what a tool is for is no secret, and who may use it is asked at the call."""
    return reply(ToolsAnswer(tools=[listing(tool) for tool in TOOLS]))


async def call(request: web.Request) -> web.Response:
    """`{result}` with what REST answers, or its problem; only wrong arguments have a code of their own."""
    tool, given = await _asked(request)
    await let_in(request, tool.may, tool.also, unlimited=tool.unlimited)
    if request.app[SETTINGS].allow_tokenless:
        given = leases.with_empty_tokens(given) if "lease_token" in tool.takes.__struct_fields__ else given
    arguments = tool.decode(given)
    try:
        if tool.name == "queue.claim":
            return await _claim(request, arguments)
        return reply(ToolAnswer(result=await SERVED[tool.name](request, arguments)))
    except Invalid as error:
        raise invalid_arguments(error) from None


async def _asked(request: web.Request) -> tuple[Tool, Any]:
    """Who may call depends on the tool; but who may call none is told so first (70-3)."""
    try:
        asked = await body(request, ToolCall)
        return named(asked.tool), asked.arguments
    except RequestError:
        await admitted(request, "viewer", ("producer", "worker"))
        raise


async def _claim(request: web.Request, arguments: Any) -> web.Response:
    """As over REST: it waits, and jobs for an answer that cannot be written go back (Q-16)."""
    claimed = await claims.claim_or_wait(request, identity(request), arguments)
    answer = reply(ToolAnswer(result=claims.answer_to(claimed)))
    await claims.hand_over(request, answer, claimed.jobs, arguments.worker_id)
    return answer


async def _enqueue(request: web.Request, arguments: Any) -> Job:
    return (await jobs.accepted(request, arguments)).job


async def _get(request: web.Request, arguments: Any) -> Job:
    return await jobs.seen(request, arguments.job_id)


async def _cancel(request: web.Request, arguments: Any) -> Job:
    return await jobs.cancelled(request, arguments.job_id, arguments)


async def _events(request: web.Request, arguments: Any) -> Any:
    return await events.page_of(request, known_form(arguments.job_id), arguments)


async def _pause_status(request: web.Request, _: Any) -> pause.PauseStatus:
    return await pause.status(request.app[STORE])


async def _heartbeat(request: web.Request, arguments: Any) -> HeartbeatAnswer:
    job_id = known_form(arguments.job_id)
    return await worker_calls.heartbeat(request.app[STORE], identity(request), job_id, arguments)


async def _complete(request: web.Request, arguments: Any) -> Job:
    job_id = known_form(arguments.job_id)
    job = await worker_calls.complete(request.app[STORE], identity(request), job_id, arguments)
    endings.observe(request.app[METRICS], [job])
    return job


async def _fail(request: web.Request, arguments: Any) -> Job:
    job_id = known_form(arguments.job_id)
    job = await worker_calls.fail(request.app[STORE], identity(request), job_id, arguments)
    endings.observe(request.app[METRICS], [job])
    return job


async def _upload_artifact(request: web.Request, arguments: Any) -> Artifact:
    async def content() -> AsyncIterator[bytes]:
        yield arguments.content_base64

    job_id = known_form(arguments.job_id)
    return await artifacts.store_artifact(
        request.app[STORE], request.app[FILES], identity(request), job_id, arguments, content()
    )


SERVED: Final[dict[str, Callable[[web.Request, Any], Awaitable[Any]]]] = {
    "queue.enqueue": _enqueue,
    "queue.get": _get,
    "queue.list": jobs.page,
    "queue.events": _events,
    "queue.cancel": _cancel,
    "queue.pause_status": _pause_status,
    "queue.heartbeat": _heartbeat,
    "queue.upload_artifact": _upload_artifact,
    "queue.complete": _complete,
    "queue.fail": _fail,
}
"""All but the claim, whose answer is written where it can be taken back."""
