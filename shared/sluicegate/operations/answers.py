"""What the queue answers with: the shapes of replies that are not a job or an event alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, Self, TypeVar

from msgspec import Meta, Struct

from sluicegate.errors import SluicegateError
from sluicegate.model import Event, Job, LiveControl, NarrowPause, Pauses, SystemState
from sluicegate.times import to_rfc3339

if TYPE_CHECKING:
    from sluicegate.store.control_feed import Control

T = TypeVar("T")


class Answer(Struct, rename="camel", kw_only=True, omit_defaults=True):
    pass


class FieldProblem(Answer):
    path: str
    message: str


class Problem(Answer):
    """A refusal or a fault (RFC 9457). `code` is for programs and stays; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] | None = None


class Listed(Struct, Generic[T], rename="camel", kw_only=True):
    """One page. next_cursor: the `cursor` of the next page; None at the end."""

    items: list[T]
    next_cursor: str | None


class Items(Struct, Generic[T], rename="camel", kw_only=True):
    items: list[T]


class EnqueuedItem(Answer):
    """One entry of a batch, by its place in the request."""

    index: int
    status: Annotated[int, Meta(description="201, 200 when it was there already, or that of the error")]
    job: Job | None = None
    error: dict[str, Any] | None = None


class JobItem(Answer):
    """One job's result among many."""

    id: str
    status: int
    job: Job | None = None
    error: dict[str, Any] | None = None

    @classmethod
    def of(cls, job_id: str, outcome: Job | SluicegateError) -> Self:
        """With the job, or with the problem that a single call would have got."""
        if isinstance(outcome, SluicegateError):
            return cls(id=job_id, status=outcome.status, error=outcome.problem())
        return cls(id=job_id, status=200, job=outcome)


class ClaimAnswer(Answer):
    """job: the first of jobs, or None. Nothing to do is no error.

    pause: that of this worker, while it is paused by itself; it gets nothing then.
    """

    job: Job | None
    jobs: list[Job]
    system: SystemState
    pause: NarrowPause | None = None


class HeartbeatAnswer(Job, kw_only=True, omit_defaults=True, rename="camel"):
    """The job, with the pause state beside its fields.

    pauses: of one type, repository, capability or worker; absent where there was never one.
    """

    system: SystemState
    pauses: Pauses | None = None


class HeartbeatsAnswer(Answer):
    """pauses: as for one heartbeat."""

    items: list[JobItem]
    system: SystemState
    pauses: Pauses | None = None


class ManyItem(Answer):
    """One job's part of a change of many. error: the problem that a call for it alone would have got."""

    id: str
    status: Annotated[int, Meta(description="200, 201 for a retry that is a new job, or that of the error")]
    error: dict[str, Any] | None = None
    retry_id: Annotated[str, Meta(description="the new job that runs in this one's place")] | None = None


class ManyAnswer(Struct, rename="camel", kw_only=True):
    """matched: jobs that were chosen and can be changed so. changed: those that this call has changed.

    items: up to 1,000 of the changed and refused ones.
    """

    matched: int
    changed: int
    dry_run: bool
    items: list[ManyItem]


class AppendedItem(Answer):
    """One event's result among many. event_id: absent, too, where the job's log limit left the event out."""

    id: Annotated[str, Meta(description="of the job")]
    status: int
    event_id: str | None = None
    error: dict[str, Any] | None = None

    @classmethod
    def of(cls, job_id: str, outcome: Event | SluicegateError | None) -> Self:
        if isinstance(outcome, SluicegateError):
            return cls(id=job_id, status=outcome.status, error=outcome.problem())
        return cls(id=job_id, status=201 if outcome else 200, event_id=outcome.id if outcome else None)


class WorkerControl(Answer):
    """Something that a worker has to obey: the pause state as it is now, a narrower pause (`mode` is null
    once it was lifted), the cancel of one of its jobs, what operators want of that run, or that its live
    session has changed."""

    kind: Annotated[str, Meta(description="`pause`, `narrow_pause`, `cancel`, `control` or `live`")]
    job_id: str | None = None
    lease_token: str | None = None
    requested_at: str | None = None
    system: SystemState | None = None
    live_control: LiveControl | None = None
    pause: NarrowPause | None = None
    pauses: Annotated[Pauses | None, Meta(description="all narrower ones, as the stream begins")] = None
    live_session_version: int | None = None

    @classmethod
    def of(cls, control: Control) -> Self:
        return cls(
            kind=control.kind,
            job_id=control.job_id,
            lease_token=None if control.token is None else str(control.token),
            requested_at=to_rfc3339(control.at_ms),
            system=control.system,
            live_control=control.live_control,
            pause=control.pause,
            live_session_version=control.live_version or None,
        )


AppendAnswer = Event | Items[Event]
