"""The API's words for what a worker holds: claimed jobs, events, endings, wishes, refusals."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from sluicegate.errors import OutcomeUnknown, RequestError, StoreError, from_problem
from sluicegate.log import log
from sluicegate.model import Job, LiveControl, NarrowPause, Pauses, SystemState
from sluicegate.operations import calls, run_state
from sluicegate.operations.kept_work import Fact
from sluicegate.operations.terminals import ShowAnswer, TypedPiece
from sluicegate.store.claims import Wishes
from sluicegate.store.endings import Complete, Ending, Fail, Release
from sluicegate.store.events import Append
from sluicegate.store.shelves import StepCheckpoint
from sluicegate.store.terminals import Shown, Typed
from sluicegate.times import from_rfc3339
from sluicegate.tracing import TraceContext, parsed

Finished = calls.Completed | calls.Failed | calls.Released


class RemoteAttempt(NamedTuple):
    """A claimed job as the API shows it."""

    rendered: Job
    worker_id: str

    @property
    def job_id(self) -> str:
        return self.rendered.id

    @property
    def token(self) -> int:
        return int(self.rendered.lease_token or 0)

    @property
    def type(self) -> str:
        return self.rendered.type

    @property
    def max_run_seconds(self) -> float | None:
        return self.rendered.max_run_seconds

    @property
    def is_last(self) -> bool:
        return self.rendered.attempt >= self.rendered.max_attempts

    @property
    def waited_ms(self) -> int | None:
        job = self.rendered
        if self.token != 1 or job.started_at is None:
            return None
        return max(0, from_rfc3339(job.started_at) - from_rfc3339(job.created_at))

    @property
    def live_control(self) -> LiveControl | None:
        return live_control(self.rendered)

    @property
    def live_version(self) -> int:
        return self.rendered.live_session_version or 0

    @property
    def cancel_requested_ms(self) -> int | None:
        asked = self.rendered.cancel_requested_at
        return from_rfc3339(asked) if asked else None

    @property
    def trace(self) -> TraceContext | None:
        job = self.rendered
        return parsed([job.traceparent], [job.tracestate]) if job.traceparent else None

    def job(self) -> Job:
        return self.rendered


class Item(Struct):
    status: int = 200
    job: Job | None = None
    error: dict[str, Any] | None = None

    def refusal(self) -> RequestError | None:
        """Why this one was refused. Raises StoreError when it was not judged at all: the call is repeated."""
        if self.error is None:
            return None
        error = from_problem(self.error)
        if isinstance(error, RequestError):
            return error
        raise error if isinstance(error, StoreError) else OutcomeUnknown(error.detail)


class Items(Struct):
    items: list[Item]

    def refusals(self) -> list[RequestError | None]:
        return [item.refusal() for item in self.items]


class Renewed(Items):
    system: SystemState
    pauses: Pauses | None = None


class Claimed(Struct):
    jobs: list[Job]
    system: SystemState
    pause: NarrowPause | None = None


class StepList(Struct):
    items: list[StepCheckpoint]


class FactList(Struct):
    items: list[Fact]


def wishes(item: Item) -> Wishes | RequestError:
    if (refusal := item.refusal()) is not None:
        return refusal
    job = item.job
    if job is None:
        raise OutcomeUnknown("the answer to a heartbeat holds neither the job nor an error")
    return Wishes(
        from_rfc3339(job.lease_expires_at) if job.lease_expires_at else 0,
        from_rfc3339(job.cancel_requested_at) if job.cancel_requested_at else None,
        job.cancel_requested_by_user_id,
        job.cancel_reason,
        live_control(job),
        job.live_session_version or 0,
    )


def live_control(job: Job) -> LiveControl | None:
    """What operators want of the run, as the job shows it."""
    try:
        return run_state.live_control(job)
    except msgspec.ValidationError as error:
        # A newer server's words: no reason to lose the lease of what runs.
        log.warning("worker.control.unreadable", job_id=job.id, error=str(error))
        return None


def reported(append: Append) -> calls.HeldEvent:
    event = append.event
    return calls.HeldEvent(
        id=append.job_id,
        lease_token=str(append.token),
        message=event.message,
        level=event.level,
        payload=event.payload,
        seq=append.seq or None,
    )


def shown(answer: ShowAnswer) -> Shown:
    return Shown(answer.watched, from_rfc3339(answer.granted_until) if answer.granted_until else 0)


def typed(entry_id: str, data: str) -> Typed:
    """Raises DecodeError."""
    piece = msgspec.json.decode(data, type=TypedPiece)
    if piece.data is not None:
        return Typed(entry_id, "d", piece.data)
    return Typed(entry_id, "size", (piece.size or "").encode())


def ended(ending: Ending) -> Finished:
    held = {"id": ending.job_id, "lease_token": str(ending.token)}
    match ending:
        case Complete():
            return calls.Completed(**held, result_summary=ending.result_summary)
        case Fail():
            return calls.Failed(
                **held,
                error_message=ending.error_message,
                retryable=ending.retryable,
                failure_class=ending.failure_class,
            )
        case Release():
            return calls.Released(**held, reason=ending.reason)
    raise TypeError(f"{type(ending).__name__} is acknowledged, not finished")
