"""The addresses of the queue's REST service: who may call them, what goes in, what comes out."""

from __future__ import annotations

from typing import Final

from services.queue_api.handlers import (
    artifacts,
    claims,
    dead_letters,
    endings,
    events,
    jobs,
    kept_work,
    mcp,
    remote_workers,
    retries,
    terminals,
    tokens,
)
from sluicegate.http import Endpoint
from sluicegate.model import Event, Job, NewJob, OperatorMessage
from sluicegate.operations import calls
from sluicegate.operations.answers import (
    AppendAnswer,
    AppendedItem,
    ClaimAnswer,
    EnqueuedItem,
    HeartbeatAnswer,
    HeartbeatsAnswer,
    Items,
    JobItem,
    Listed,
    ManyAnswer,
)
from sluicegate.operations.artifacts import UploadCall
from sluicegate.operations.credentials import IssuedWorkerToken, WorkerToken, WorkerTokenCall
from sluicegate.operations.kept_work import DroppedSteps, DropStepsCall, Fact, FactCall, StepCall
from sluicegate.operations.live_sessions import RenewCall, ReportCall, WorkerSessionAnswer
from sluicegate.operations.presence import Credential, DepartCall, Departed, PresenceCall, WorkerQuery
from sluicegate.operations.reasons import Why
from sluicegate.operations.terminals import ShowAnswer, ShowCall, TypedQuery
from sluicegate.operations.tool_schema import ToolAnswer, ToolsAnswer
from sluicegate.operations.tools import ToolCall
from sluicegate.store.dead_letters import DeadLetter
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.store.workers import Presence

JOBS: Final = "/api/queue/jobs"
JOB: Final = JOBS + "/{id}"
DEAD: Final = "/api/queue/dead-letters"
WORKERS: Final = "/api/queue/workers"
TOKENS: Final = WORKERS + "/tokens"
HELD: Final = ("job_not_found", "job_not_authorized", "job_ownership_mismatch", "lease_lost")
LIVE: Final = ("live_session_not_found", "live_session_state_conflict")
TRACE: Final = ("traceparent", "tracestate")
ENQUEUED: Final = ("idempotency_conflict", "payload_too_large", "queue_full")
CREDENTIALS: Final = (
    "worker_auth_failed", "operator_auth_failed", "worker_not_authorized", "operator_not_authorized",
    "identity_unavailable", "rate_limited",
)  # fmt: skip

ROUTES: Final = (
    Endpoint(
        method="POST", path=JOBS, handler=jobs.enqueue, may="operator", also=("producer",), tag="jobs",
        summary="Enqueue a job", body=NewJob, headers=("Idempotency-Key", *TRACE),
        replies={201: Job, 200: Job}, errors=ENQUEUED,
    ),
    Endpoint(
        method="GET", path=JOBS, handler=jobs.listing, may="viewer", also=("producer",), tag="jobs",
        summary="List jobs, the latest change of status first", query=calls.JobsQuery,
        replies={200: Listed[Job]},
    ),
    Endpoint(
        method="POST", path=JOBS + "/batch", handler=jobs.enqueue_many, may="operator", also=("producer",),
        tag="jobs", summary="Enqueue up to 1,000 jobs, each judged by itself",
        body=calls.EnqueueManyCall, headers=TRACE, replies={207: Items[EnqueuedItem]},
    ),
    Endpoint(
        method="POST", path=JOBS + "/claim", handler=claims.claim, may="worker", tag="workers",
        summary="Take the next jobs under a lease; waitSeconds waits for them",
        body=calls.ClaimCall, replies={200: ClaimAnswer}, errors=("rate_limited",),
    ),
    Endpoint(
        method="POST", path=JOBS + "/heartbeat", handler=claims.heartbeat_many, may="worker", tag="workers",
        unlimited=True, summary="Extend the leases of many jobs", body=calls.HeartbeatManyCall,
        replies={200: HeartbeatsAnswer},
    ),
    Endpoint(
        method="POST", path=JOBS + "/finish", handler=endings.finish, may="worker", tag="workers",
        unlimited=True, summary="End up to 100 attempts, each in its own way", body=calls.FinishCall,
        replies={207: Items[JobItem]},
    ),
    Endpoint(
        method="POST", path=JOBS + "/cancel", handler=jobs.cancel_many, may="operator", tag="jobs",
        summary="Cancel many jobs, by ids or a filter", body=calls.ManyCall, replies={200: ManyAnswer},
    ),
    Endpoint(
        method="POST", path=JOBS + "/retry", handler=retries.retry_many, may="operator", tag="jobs",
        summary="Run many jobs again, by ids or a filter", body=calls.ManyCall, replies={200: ManyAnswer},
    ),
    Endpoint(
        method="GET", path=JOB, handler=jobs.get, may="viewer", also=("producer", "worker"), tag="jobs",
        summary="One job", query=calls.NoFields, replies={200: Job},
        errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="GET", path=JOB + "/why", handler=jobs.why, may="viewer", also=("producer",), tag="jobs",
        summary="Why a job does not run, and what would change it", query=calls.NoFields,
        replies={200: Why}, errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="POST", path=JOB + "/heartbeat", handler=claims.heartbeat, may="worker", tag="workers",
        unlimited=True, summary="Extend the lease of a job", body=calls.HeartbeatCall,
        replies={200: HeartbeatAnswer},
        errors=HELD,
    ),
    Endpoint(
        method="POST", path=JOB + "/complete", handler=endings.complete, may="worker", tag="workers",
        unlimited=True, summary="The attempt succeeded", body=calls.CompleteCall,
        replies={200: Job}, errors=HELD,
    ),
    Endpoint(
        method="POST", path=JOB + "/fail", handler=endings.fail, may="worker", tag="workers",
        unlimited=True, summary="The attempt failed", body=calls.FailCall, replies={200: Job}, errors=HELD,
    ),
    Endpoint(
        method="POST", path=JOB + "/release", handler=endings.release, may="worker", tag="workers",
        unlimited=True, summary="Hand the job back, no attempt used", body=calls.ReleaseCall,
        replies={200: Job}, errors=HELD,
    ),
    Endpoint(
        method="POST", path=JOB + "/cancel", handler=jobs.cancel, may="operator", also=("producer",),
        tag="jobs", summary="End a waiting job, or ask the worker of a running one to end it",
        body=calls.CancelCall, optional_body=True, replies={200: Job},
        errors=("job_not_found", "job_not_authorized", "job_state_conflict"),
    ),
    Endpoint(
        method="POST", path=JOB + "/retry", handler=retries.retry, may="operator", tag="jobs",
        summary="Run a failed or cancelled job again as a new one, or give a dead letter a new life",
        body=calls.RetryCall, optional_body=True, replies={201: Job, 200: Job},
        errors=("job_not_found", "job_state_conflict", "payload_too_large", "queue_full"),
    ),
    Endpoint(
        method="POST", path=JOB + "/cancel/ack", handler=endings.acknowledge_cancel, may="worker",
        unlimited=True, tag="workers", summary="The job has ended, as was asked", body=calls.CancelAckCall,
        replies={200: Job}, errors=(*HELD, "job_state_conflict"),
    ),
    Endpoint(
        method="POST", path=JOB + "/controls/answer", handler=remote_workers.answer_control, may="worker",
        unlimited=True, tag="workers", summary="What an operator asked of the run is done, or will not be",
        body=calls.ControlAnswer, replies={200: Job}, errors=HELD,
    ),
    Endpoint(
        method="POST", path=JOB + "/terminal", handler=terminals.show, may="worker", unlimited=True,
        tag="live sessions", summary="Publish what the run's terminal shows, while its live session is open",
        body=ShowCall, replies={200: ShowAnswer}, errors=(*HELD, "live_session_state_conflict"),
    ),
    Endpoint(
        method="GET", path=JOB + "/terminal/typed", handler=terminals.typed, may="worker", unlimited=True,
        tag="live sessions", summary="What is typed into the run's terminal (Server-Sent Events)",
        query=TypedQuery, headers=("Last-Event-ID",), replies={200: None}, media="text/event-stream",
        errors=HELD,
    ),
    Endpoint(
        method="GET", path=JOB + "/operator-messages", handler=remote_workers.messages, may="worker",
        tag="workers", summary="What operators said to the run's agent, oldest first", query=calls.PageQuery,
        replies={200: Listed[OperatorMessage]}, errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="POST", path=JOB + "/live-session/report", handler=remote_workers.report_live_session,
        may="worker", unlimited=True, tag="workers", summary="How the run's live session is",
        body=ReportCall, replies={200: WorkerSessionAnswer}, errors=(*HELD, *LIVE),
    ),
    Endpoint(
        method="POST", path=JOB + "/live-session/heartbeat", handler=remote_workers.renew_live_session,
        may="worker", unlimited=True, tag="workers", summary="What is wanted of the run's live session",
        body=RenewCall, replies={200: WorkerSessionAnswer}, errors=(*HELD, *LIVE),
    ),
    Endpoint(
        method="POST", path=JOB + "/events", handler=events.append, may="worker", tag="events",
        summary="Append to the job's history: one event, or up to 500", body=calls.AppendCall,
        replies={201: AppendAnswer, 200: Items[Event]}, errors=(*HELD, "payload_too_large"),
    ),
    Endpoint(
        method="POST", path=JOBS + "/events", handler=events.append_many, may="worker", tag="events",
        summary="Append to the histories of many of the worker's jobs",
        body=calls.AppendManyCall, replies={207: Items[AppendedItem]}, errors=("payload_too_large",),
    ),
    Endpoint(
        method="GET", path=JOB + "/events", handler=events.page, may="viewer", also=("producer", "worker"),
        tag="events", summary="A page of the job's history", query=calls.EventsQuery,
        replies={200: Listed[Event]}, errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="GET", path=JOB + "/events/stream", handler=events.stream, may="viewer",
        also=("producer", "worker"), tag="events", summary="The history as it grows (Server-Sent Events)",
        query=calls.StreamQuery, headers=("Last-Event-ID",), replies={200: None}, media="text/event-stream",
        errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="POST", path=JOB + "/artifacts/upload", handler=artifacts.upload, may="worker",
        tag="artifacts", summary="Store a file of the job; the same name again replaces",
        upload=UploadCall, replies={201: Artifact}, errors=(*HELD, "artifact_too_large", "storage_full"),
    ),
    Endpoint(
        method="GET", path=JOB + "/artifacts", handler=artifacts.listing, may="viewer",
        also=("producer", "worker"), tag="artifacts", summary="The job's files, by name",
        query=calls.PageQuery, replies={200: Listed[Artifact]},
        errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="GET", path=JOB + "/artifacts/{artifactId}/download", handler=artifacts.download,
        may="viewer", also=("producer", "worker"), tag="artifacts",
        summary="The content of a file, always as an attachment; parts of it by Range",
        headers=("Range", "If-None-Match"), replies={200: None, 206: None, 304: None},
        media="application/octet-stream",
        errors=("job_not_found", "job_not_authorized", "artifact_not_found", "range_not_satisfiable"),
    ),
    Endpoint(
        method="GET", path=DEAD, handler=dead_letters.listing, may="viewer", tag="dead letters",
        summary="List dead letters, the newest first", query=calls.DeadLettersQuery,
        replies={200: Listed[DeadLetter]},
    ),
    Endpoint(
        method="POST", path=DEAD + "/redrive", handler=dead_letters.redrive, may="operator",
        tag="dead letters", summary="Give dead letters a new life, by ids or a filter", body=calls.ManyCall,
        replies={200: ManyAnswer},
    ),
    Endpoint(
        method="POST", path=DEAD + "/purge", handler=dead_letters.purge, may="operator", tag="dead letters",
        summary="Remove dead letters with all their keys and files", body=calls.ManyCall,
        replies={200: ManyAnswer},
    ),
    Endpoint(
        method="POST", path=JOB + "/steps", handler=kept_work.save_step, may="worker", tag="workers",
        summary="Keep a finished step for the attempts that follow",
        body=StepCall, replies={200: StepCheckpoint}, errors=HELD,
    ),
    Endpoint(
        method="GET", path=JOB + "/steps", handler=kept_work.steps, may="viewer", also=("producer", "worker"),
        tag="jobs", summary="The finished steps of a task", replies={200: Items[StepCheckpoint]},
        errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="POST", path=JOB + "/steps/drop", handler=kept_work.drop_steps, may="worker", tag="workers",
        summary="Forget the finished steps from one on: they are to run again",
        body=DropStepsCall, replies={200: DroppedSteps}, errors=HELD,
    ),
    Endpoint(
        method="POST", path=JOB + "/facts", handler=kept_work.keep_fact, may="worker", tag="workers",
        summary="Keep a fact with the job; the first value stays, unless it is to be replaced",
        body=FactCall, replies={200: Fact}, errors=HELD,
    ),
    Endpoint(
        method="GET", path=JOB + "/facts", handler=kept_work.facts, may="viewer", also=("producer", "worker"),
        tag="jobs", summary="What workers keep with the job for its next attempt, by name",
        replies={200: Items[Fact]}, errors=("job_not_found", "job_not_authorized"),
    ),
    Endpoint(
        method="GET", path=WORKERS + "/me", handler=remote_workers.credential, may="worker", tag="workers",
        summary="What the caller's credential allows", replies={200: Credential},
    ),
    Endpoint(
        method="POST", path=WORKERS + "/presence", handler=remote_workers.announce, may="worker",
        tag="workers", summary="Say that the worker is there and what it does; within every 30 s",
        body=PresenceCall, replies={200: Presence},
    ),
    Endpoint(
        method="POST", path=WORKERS + "/depart", handler=remote_workers.depart, may="worker", tag="workers",
        summary="Say that the worker has ended in order", body=DepartCall, replies={200: Departed},
    ),
    Endpoint(
        method="GET", path=WORKERS + "/controls", handler=remote_workers.controls, may="worker",
        tag="workers", summary="What is asked of the worker, as it comes (Server-Sent Events)",
        query=WorkerQuery, replies={200: None}, media="text/event-stream",
    ),
    Endpoint(
        method="POST", path=TOKENS, handler=tokens.create, may="admin", tag="tokens",
        summary="Create a worker's token; it is shown this once", body=WorkerTokenCall,
        replies={201: IssuedWorkerToken}, errors=("rate_limited",),
    ),
    Endpoint(
        method="GET", path=TOKENS, handler=tokens.listing, may="admin", tag="tokens",
        summary="List the workers' tokens, the newest first", query=calls.PageQuery,
        replies={200: Listed[WorkerToken]},
    ),
    Endpoint(
        method="POST", path=TOKENS + "/{id}/revoke", handler=tokens.revoke, may="admin", tag="tokens",
        summary="End a token at once", body=calls.NoFields, optional_body=True,
        replies={200: WorkerToken}, errors=("worker_token_not_found",),
    ),
    Endpoint(
        method="POST", path=TOKENS + "/{id}/rotate", handler=tokens.rotate, may="admin", tag="tokens",
        summary="Give a token a new secret; the old one works on for a while", body=calls.NoFields,
        optional_body=True, replies={200: IssuedWorkerToken},
        errors=("worker_token_not_found", "token_state_conflict"),
    ),
    Endpoint(
        method="GET", path="/mcp/tools", handler=mcp.listed, may="open", tag="agents",
        summary="The tools for agents, with the schemas of their arguments", replies={200: ToolsAnswer},
    ),
    Endpoint(
        method="POST", path="/mcp/tools/call", handler=mcp.call, may="open", tag="agents",
        summary="Call a tool; who may, and which errors there are, is as in the REST call behind it",
        body=ToolCall, replies={200: ToolAnswer},
        errors=(
            "tool_not_found", "invalid_tool_arguments", "job_state_conflict", *CREDENTIALS, *HELD, *ENQUEUED,
        ),
    ),
)  # fmt: skip
