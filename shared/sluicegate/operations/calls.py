"""What may be asked of the queue: the bodies and parameters that REST, MCP and the clients share.

Every struct forbids unknown fields. A `leaseToken` is text that only the store can judge: one that it
never gave out is a lost lease, not a malformed request.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sluicegate.model import EventLevel, JobId, JobStatus, JobType, LeaseSeconds, Name, NewEvent, WorkerId

Text = Annotated[str, Meta(max_length=32_768)]
Reason = Annotated[str, Meta(max_length=2_000, description="for people")]
ResultSummary = Annotated[Text, Meta(description="what came of it, for people")]
ErrorMessage = Annotated[Text, Meta(description="what went wrong, for people")]
Retryable = Annotated[bool, Meta(description="whether another attempt may help")]
Token = Annotated[str, Meta(max_length=64, description="the leaseToken of the claim")]
PageSize = Annotated[int, Meta(ge=1, le=200, description="most entries of one page")]
Cursor = Annotated[str, Meta(description="the nextCursor of the page before")]
Moment = Annotated[str, Meta(description="a time, like 2026-01-31T12:00:00Z")]
EventPlace = Annotated[str, Meta(description="an event id, or a time; itself left out")]
RepositoryName = Annotated[str, Meta(description="`owner/name` or a URL")]
ClaimedBy = Annotated[WorkerId, Meta(description="the worker that has or had the job")]
AllowedTypes = Annotated[list[JobType], Meta(max_length=200, description="only jobs of these types")]
AllowedRepositories = Annotated[
    list[str], Meta(max_length=200, description="only jobs of these repositories")
]
WorkerCapabilities = Annotated[
    list[Name], Meta(max_length=200, description="what the worker can do, like `git`")
]
WaitSeconds = Annotated[float, Meta(ge=0, le=30, description="how long to wait for work to come")]
MaxJobs = Annotated[int, Meta(ge=1, le=100, description="most jobs to take")]
RequestId = Annotated[Name, Meta(description="drawn by the worker: repeated, it gets the same jobs again")]
AuditControl = Literal[
    "worker_pause",
    "task_run",
    "live_session",
    "job_cancel",
    "dead_letter_redrive",
    "dead_letter_purge",
    "worker_token",
    "operator_token",
]
AuditAction = Literal[
    "pause",
    "resume",
    "takeover",
    "message",
    "request",
    "redrive",
    "purge",
    "create",
    "grant",
    "revoke",
    "rotate",
]
AuditTarget = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2_000,
        description="id of a job or token; or `type:`, `repository:`, `capability:` or `worker:`, and which",
    ),
]
FailureClass = Annotated[Name, Meta(description="what kind of failure it is, to find and count them by")]


class Call(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    pass


class NoFields(Call):
    """A call that takes nothing."""


class PageQuery(Call):
    """cursor: the nextCursor of the page before."""

    cursor: Cursor | None = None
    limit: PageSize = 50


class Held(Call):
    """A worker and the lease under which it acts."""

    worker_id: WorkerId
    lease_token: Token


class EnqueueManyCall(Call):
    """Each entry is judged by itself: one wrong job does not refuse the others."""

    jobs: Annotated[list[Any], Meta(max_length=1_000, description="jobs as in a single enqueue")]


class JobsQuery(Call):
    status: Annotated[JobStatus | None, Meta(description="only jobs in this state")] = None
    type: JobType | None = None
    repository: RepositoryName | None = None
    claimed_by: ClaimedBy | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    cursor: Cursor | None = None
    limit: PageSize = 50


class ClaimCall(Call):
    """None in an allowed_ list is anything, an empty list is nothing; both only narrow what the worker's
    credential allows. worker_capabilities: what the worker can do; absent: all that its credential names.
    """

    worker_id: WorkerId
    lease_seconds: LeaseSeconds
    allowed_types: AllowedTypes | None = None
    allowed_repositories: AllowedRepositories | None = None
    worker_capabilities: WorkerCapabilities | None = None
    wait_seconds: WaitSeconds = 0
    max_jobs: MaxJobs = 1
    request_id: RequestId | None = None


class HeartbeatCall(Held):
    lease_seconds: LeaseSeconds


class HeldJob(Call):
    id: JobId
    lease_token: Token


class HeartbeatManyCall(Call):
    worker_id: WorkerId
    lease_seconds: LeaseSeconds
    jobs: Annotated[list[HeldJob], Meta(max_length=1_000)]


class CompleteCall(Held):
    result_summary: ResultSummary | None = None


class FailCall(Held):
    error_message: ErrorMessage
    retryable: Retryable = True
    failure_class: FailureClass | None = None


class ReleaseCall(Held):
    reason: Reason | None = None


class Completed(HeldJob, tag_field="outcome", tag="complete"):
    result_summary: ResultSummary | None = None


class Failed(HeldJob, tag_field="outcome", tag="fail"):
    error_message: ErrorMessage
    retryable: Retryable = True
    failure_class: FailureClass | None = None


class Released(HeldJob, tag_field="outcome", tag="release"):
    reason: Reason | None = None


class FinishCall(Call):
    worker_id: WorkerId
    jobs: Annotated[list[Completed | Failed | Released], Meta(max_length=100)]


class CancelCall(Call):
    reason: Reason | None = None


class RetryCall(Call):
    reason: Reason | None = None


class ManyFilter(Call):
    """Jobs that fit every field that is set. failure_class: `unclassified` for those that have none."""

    type: JobType | None = None
    repository: Annotated[str, Meta(description="`owner/name` or a URL")] | None = None
    status: JobStatus | None = None
    failure_class: FailureClass | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None


class ManyCall(Call):
    """Which jobs to change: by their ids, by a filter, or those of the ids that fit the filter.

    ids: of jobs, also for dead letters. dry_run: count them and change nothing.
    """

    ids: Annotated[list[JobId], Meta(max_length=10_000)] | None = None
    filter: ManyFilter | None = None
    dry_run: Annotated[bool, Meta(description="count, and change nothing")] = False
    reason: Reason | None = None


class DeadLettersQuery(Call):
    type: JobType | None = None
    repository: Annotated[str, Meta(description="`owner/name` or a URL")] | None = None
    failure_class: FailureClass | None = None
    cursor: Cursor | None = None
    limit: PageSize = 50


class AuditQuery(Call):
    """Entries that fit every field that is set."""

    control: Annotated[AuditControl | None, Meta(description="what was acted on")] = None
    action: Annotated[AuditAction | None, Meta(description="what was done")] = None
    actor: Annotated[Name, Meta(description="who did it; `system` for what ended by itself")] | None = None
    target: AuditTarget | None = None
    since: Annotated[Moment, Meta(description="at this time or later, like 2026-01-31T12:00:00Z")] | None = (
        None
    )
    until: Annotated[Moment, Meta(description="before this time, like 2026-01-31T12:00:00Z")] | None = None
    cursor: Cursor | None = None
    limit: PageSize = 50


class CancelAckCall(Held):
    message: Text | None = None
    receipt: dict[str, Any] | None = None


class ControlAnswer(Held):
    """What became of an operator's request: carried out or rejected; of a summary: the agent was told."""

    what: Annotated[Literal["recovery", "summary"], Meta(description="of what is kept in `liveControl`")]
    request_id: Annotated[str, Meta(max_length=64, description="the `id` that it has there")]
    outcome: Annotated[Literal["ack", "rejected"], Meta(description="a summary is only ever `ack`")] = "ack"
    message: Reason | None = None


class AppendCall(Held):
    """One event in its own fields, or up to 500 in `events`; `operations.events.listed` tells which."""

    level: EventLevel | None = None
    message: Annotated[str, Meta(min_length=1)] | None = None
    payload: dict[str, Any] | None = None
    events: Annotated[list[NewEvent], Meta(min_length=1, max_length=500)] | None = None


class HeldEvent(HeldJob):
    """An event of one of a worker's jobs. seq: rises with each event of an attempt; a call that is repeated
    then appends what it has appended before no second time.
    """

    message: Annotated[str, Meta(min_length=1)]
    level: EventLevel = "info"
    payload: dict[str, Any] | None = None
    seq: Annotated[int, Meta(ge=1, lt=2**53)] | None = None


class AppendManyCall(Call):
    worker_id: WorkerId
    events: Annotated[list[HeldEvent], Meta(min_length=1, max_length=500)]


class EventsQuery(Call):
    """after, before: an event id or a time, exclusive. cursor: a page's nextCursor, in the same sort."""

    after: EventPlace | None = None
    before: EventPlace | None = None
    cursor: Cursor | None = None
    sort: Annotated[Literal["asc", "desc"], Meta(description="oldest or newest first")] = "asc"
    limit: Annotated[int, Meta(ge=1, le=500, description="most entries of one page")] = 100


class StreamQuery(Call):
    """after: an event id, a time, or `now` for what comes from now on."""

    after: str | None = None
