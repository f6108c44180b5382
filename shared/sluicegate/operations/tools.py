"""The queue's tools for agents (MCP): what each is for, what it takes, who may call it.

A tool is a REST call in another envelope: its arguments are the call's body or parameters, with `jobId` for
the id that stands in the path; its result is the call's JSON; its errors are the same problems (70-20).
This is the only list of them: served by the service, shown by `sluicegate mcp`, written into the reference.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from sluicegate.auth.identity import Access, Role
from sluicegate.errors import Invalid, NotFound
from sluicegate.model import NewJob
from sluicegate.operations.artifacts import UploadCall
from sluicegate.operations.calls import (
    CancelCall,
    ClaimCall,
    CompleteCall,
    EventsQuery,
    FailCall,
    HeartbeatCall,
    JobsQuery,
    NoFields,
)
from sluicegate.validation import convert


class ToolCall(Struct, forbid_unknown_fields=True):
    """The body of a call: which tool, with which arguments."""

    tool: Annotated[str, Meta(description="name of the tool")]
    arguments: Annotated[Any, Meta(description="an object, as the tool's inputSchema says")] = {}


class UploadArtifactCall(UploadCall, kw_only=True):
    """An upload whose content stands in the call. As text it has a third more bytes, and the limit of a JSON
    body holds for it too.
    """

    content_base64: Annotated[bytes, Meta(description="the content, in base64")]


class Tool(Struct, frozen=True, kw_only=True, dict=True):
    """One tool.

    takes: what its arguments are decoded with, beside `jobId` where it is about one job.
    rest: the REST call that it stands for; `may`, `also` and `unlimited` are that call's (a test ties them).
    reads, destroys, repeatable: what a client may tell its user: it changes nothing; it takes something
    away; once more with the same arguments has no further effect.
    draws: the argument that makes a repeat safe where it is given, so that a client should draw one.
    """

    name: str
    rest: str
    takes: type[Struct]
    about_a_job: bool = False
    may: Access
    also: tuple[Role, ...] = ()
    unlimited: bool = False
    reads: bool = False
    destroys: bool = False
    repeatable: bool = False
    draws: str | None = None
    description: str

    @cached_property
    def arguments(self) -> type[Struct]:
        """The struct of all arguments: `takes` with `jobId`, which is judged like an id in a path (70-42)."""
        if not self.about_a_job:
            return self.takes
        return msgspec.defstruct(
            self.takes.__name__,
            [("job_id", Annotated[str, Meta(description="id of the job")])],
            bases=(self.takes,),
            rename="camel",
            forbid_unknown_fields=True,
            kw_only=True,
            omit_defaults=True,
        )

    def decode(self, arguments: Any) -> Any:
        """The arguments as `arguments`. Raises Invalid (invalid_tool_arguments) naming each wrong one."""
        try:
            return convert(arguments, self.arguments)
        except Invalid as error:
            raise invalid_arguments(error) from None


def _text(block: str) -> str:
    """One line."""
    return " ".join(block.split())


def named(name: str) -> Tool:
    """Raises NotFound (tool_not_found)."""
    tool = BY_NAME.get(name)
    if tool is None:
        raise NotFound(f"there is no tool {name[:64]!r}; GET /mcp/tools lists them", code="tool_not_found")
    return tool


def invalid_arguments(error: Invalid) -> Invalid:
    """The same refusal under the tools' own code, whoever found the wrong field."""
    code = "invalid_tool_arguments" if error.code == "validation_failed" else error.code
    return Invalid(error.detail, code=code, **error.extra)


TOOLS: Final = (
    Tool(
        name="queue.enqueue",
        rest="POST /api/queue/jobs",
        takes=NewJob,
        may="operator",
        also=("producer",),
        draws="id",
        description=_text(
            """
            Put one job into the queue, to be run by a worker, now or later. Use it to hand work over:
            it returns at once with the job (its `id`, `status` queued), not with the job's result.
            Watch it with queue.events, or queue.get until `status` is succeeded, failed, cancelled or
            dead_letter. Agent work in a repository is the type `task`, with a payload like
            {"repository": "owner/name", "targetRuntime": "claude", "task": {"instructions": "what to
            do", "publish": {"mode": "branch"}}}. To make a repeat safe, give idempotencyKey or an id of
            your own: the same again then returns the first job instead of a second one.
            """
        ),
    ),
    Tool(
        name="queue.get",
        rest="GET /api/queue/jobs/{id}",
        takes=NoFields,
        about_a_job=True,
        may="viewer",
        also=("producer", "worker"),
        reads=True,
        description=_text(
            """
            Look at one job: its `status`, attempt, times, payload, and once it has ended
            `resultSummary` or `errorMessage`. A job is finished when `status` is succeeded, failed,
            cancelled or dead_letter; a queued job with `nextAttemptAt` in the future waits for a retry.
            """
        ),
    ),
    Tool(
        name="queue.list",
        rest="GET /api/queue/jobs",
        takes=JobsQuery,
        may="viewer",
        also=("producer",),
        reads=True,
        description=_text(
            """
            Find jobs by status, type, repository, worker or time of creation, latest change first.
            Returns {items, nextCursor}; for the next page call again with `cursor` = nextCursor, which
            is null at the end. A filtered page may be short and still have a nextCursor.
            """
        ),
    ),
    Tool(
        name="queue.events",
        rest="GET /api/queue/jobs/{id}/events",
        takes=EventsQuery,
        about_a_job=True,
        may="viewer",
        also=("producer", "worker"),
        reads=True,
        description=_text(
            """
            Read what has happened to a job, in order: lifecycle, steps, and the output of its commands
            (`payload.kind` log, with the text in `payload.text`). Returns {items, nextCursor}. To watch
            a job, call again every few seconds with `after` = the id of the last event that you have
            seen, until `payload.kind` is job.succeeded, job.failed, job.cancelled or job.dead_lettered.
            The newest first: sort desc.
            """
        ),
    ),
    Tool(
        name="queue.cancel",
        rest="POST /api/queue/jobs/{id}/cancel",
        takes=CancelCall,
        about_a_job=True,
        may="operator",
        also=("producer",),
        destroys=True,
        repeatable=True,
        description=_text(
            """
            Cancel a job that nobody needs any more. A waiting job is cancelled at once; a running one
            is stopped by its worker within seconds: the returned job is then still running, with
            `cancelRequestedAt`. Cannot be undone. 409 job_state_conflict when the job has already
            ended.
            """
        ),
    ),
    Tool(
        name="queue.pause_status",
        rest="GET /api/system/worker-pause",
        takes=NoFields,
        may="viewer",
        reads=True,
        description=_text(
            """
            See whether the operators have paused the workers, by whom and why (`system`), how many jobs
            wait and run (`metrics`), and what a drain still waits for (`drain`). Use it when a job
            stays queued.
            """
        ),
    ),
    Tool(
        name="queue.claim",
        rest="POST /api/queue/jobs/claim",
        takes=ClaimCall,
        may="worker",
        draws="requestId",
        description=_text(
            """
            For workers: take the next jobs that you can run, and with them a lease of leaseSeconds.
            Returns {job, jobs, system}; job is null when there is nothing to do or the workers are
            paused (`system.workersPaused`). With waitSeconds it waits for work that long. Do the job
            yourself, call queue.heartbeat well before the lease ends, and end with queue.complete or
            queue.fail, each with the job's `leaseToken`. What you do not end goes to another worker
            when its lease runs out.
            """
        ),
    ),
    Tool(
        name="queue.heartbeat",
        rest="POST /api/queue/jobs/{id}/heartbeat",
        takes=HeartbeatCall,
        about_a_job=True,
        may="worker",
        unlimited=True,
        repeatable=True,
        description=_text(
            """
            For workers: extend the lease of a job that you hold, and learn what is wanted of it.
            Returns the job with `system` beside its fields. When `cancelRequestedAt` is set, stop
            working on it. 409 lease_lost: the job is no longer yours; stop and write nothing more.
            """
        ),
    ),
    Tool(
        name="queue.upload_artifact",
        rest="POST /api/queue/jobs/{id}/artifacts/upload",
        takes=UploadArtifactCall,
        about_a_job=True,
        may="worker",
        destroys=True,
        repeatable=True,
        description=_text(
            """
            For workers: keep a file with the job that you hold, such as a report or a patch, for people to
            download. The same name again replaces the file. Returns {id, jobId, name, contentType,
            sizeBytes, digest, createdAt}. For small files: 413 when it is larger than is taken.
            """
        ),
    ),
    Tool(
        name="queue.complete",
        rest="POST /api/queue/jobs/{id}/complete",
        takes=CompleteCall,
        about_a_job=True,
        may="worker",
        unlimited=True,
        repeatable=True,
        description=_text(
            """
            For workers: the job that you hold is done. Returns it as succeeded. resultSummary is what
            people will read. 409 lease_lost: the job is no longer yours, and your result was not taken.
            """
        ),
    ),
    Tool(
        name="queue.fail",
        rest="POST /api/queue/jobs/{id}/fail",
        takes=FailCall,
        about_a_job=True,
        may="worker",
        unlimited=True,
        repeatable=True,
        description=_text(
            """
            For workers: the attempt at the job that you hold has failed. With retryable (the default)
            the job is queued again after a backoff, or is a dead letter when its attempts are used up;
            without, it ends as failed. Returns the job as it is then.
            """
        ),
    ),
)
"""In the order in which they are listed: for everyone, then for workers."""

BY_NAME: Final = {tool.name: tool for tool in TOOLS}
