"""How a worker reaches the queue. The rest of the worker does not know which way it is.

A transport belongs to one event loop. The heartbeat thread has one of its own (`sibling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, Self

from sluicegate.errors import RequestError
from sluicegate.model import (
    Job,
    LiveControl,
    LiveProvider,
    NarrowPause,
    OperatorMessage,
    Policy,
    SystemState,
)
from sluicegate.store.claims import Lease, Renewal
from sluicegate.store.control_feed import Control
from sluicegate.store.controls import Matter, Outcome
from sluicegate.store.endings import Ending
from sluicegate.store.events import Append
from sluicegate.store.live_sessions import Known, Report, Ways
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.store.terminals import Piece, Shown, Typed
from sluicegate.store.workers import Presence
from sluicegate.tracing import TraceContext


class Claimed(Protocol):
    """A job as its claim opened it; rendered only when somebody looks."""

    @property
    def job_id(self) -> str: ...
    @property
    def token(self) -> int: ...
    @property
    def worker_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def max_run_seconds(self) -> float | None: ...
    @property
    def is_last(self) -> bool:
        """Whether its failure leaves the job no other attempt."""

    @property
    def waited_ms(self) -> int | None:
        """From the enqueue to this claim; None unless it is the job's first."""

    @property
    def live_control(self) -> LiveControl | None:
        """What operators wanted of this run when it was claimed."""

    @property
    def live_version(self) -> int:
        """Of the run's live session when it was claimed; 0 if it never had one."""

    @property
    def cancel_requested_ms(self) -> int | None:
        """When its cancel was asked for, if that was before the answer to the claim."""

    @property
    def trace(self) -> TraceContext | None:
        """Of the job's enqueue."""

    def job(self) -> Job: ...


class LiveReport(NamedTuple):
    """How a live session is. ways: all there are, of one that is ready. error: why it is over."""

    status: Report
    provider: LiveProvider | None = None
    ways: Ways = Ways()
    error: str | None = None


class Found(NamedTuple):
    """What a claim found. seconds: how long the call took that found it; its leases are no older.

    pause: that of this worker alone, which is why it got nothing (P-12).
    """

    attempts: Sequence[Claimed]
    system: SystemState
    seconds: float
    pause: NarrowPause | None = None


class Transport(Protocol):
    """One worker's way to the queue. Errors are those of `sluicegate.errors`."""

    name: Literal["redis", "http"]

    @property
    def worker_id(self) -> str:
        """The name under which it works; known once it is open."""

    def sibling(self) -> Self:
        """An unopened transport to the same queue, for another event loop."""

    async def open(self) -> None:
        """Connect. Raises StoreUnavailable, ConfigurationError."""

    async def close(self) -> None: ...

    async def claim(
        self, policy: Policy, *, lease_ms: int, limit: int, request_id: str, wait_seconds: float
    ) -> Found:
        """Open attempts as soon as there is work; none after wait_seconds, or while workers are paused.

        Repeat with the same request_id when the reply is lost. Not to be cancelled: `wake` it instead.
        """

    def wake(self) -> None:
        """Let the claim that waits return at once, with what it has."""

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        """Extend leases, learn what operators want."""

    async def settle(self, endings: Sequence[Ending]) -> list[RequestError | None]:
        """End attempts; safe to repeat."""

    async def append_events(self, appends: Sequence[Append]) -> list[RequestError | None]:
        """Append in order, all or none; None also where the job's log limit swallowed one. Not fenced against
        a repeat."""

    async def watch(self, deliver: Callable[[Control], None]) -> None:
        """Deliver control messages from now on, until `close`."""

    async def answer_control(
        self, job_id: str, token: int, what: Matter, request_id: str, outcome: Outcome, message: str | None
    ) -> LiveControl | None:
        """Say that what an operator asked is done, or rejected; what they want from then on. Repeatable."""

    async def messages(self, job_id: str, after: str | None) -> tuple[list[OperatorMessage], str | None]:
        """What operators said behind a message that is known; behind which to read on, None at the end."""

    async def report_live(self, job_id: str, token: int, report: LiveReport) -> Known | None:
        """Say how the attempt's live session is; the record as it is then. Repeatable."""

    async def renew_live(self, job_id: str, token: int) -> Known | None:
        """The record of the run's live session, whose worker is there."""

    async def save_step(self, job_id: str, token: int, checkpoint: StepCheckpoint) -> None: ...

    async def steps(self, job_id: str) -> list[StepCheckpoint]: ...

    async def drop_steps(self, job_id: str, token: int, first: int) -> None:
        """Forget the finished steps from this index on."""

    async def state_fact(self, job_id: str, token: int, name: str, value: str) -> str:
        """Keep a fact unless one of this name is kept; the value that is."""

    async def change_fact(self, job_id: str, token: int, name: str, value: str) -> None:
        """Keep a fact in place of an earlier one of this name."""

    async def facts(self, job_id: str) -> dict[str, str]: ...

    async def put_artifact(
        self, job_id: str, token: int, name: str, content: bytes | Path, content_type: str
    ) -> Artifact: ...

    async def get_artifact(self, artifact: Artifact, target: Path) -> None:
        """Copy an artifact's content into a file."""

    async def artifacts(self, job_id: str) -> list[Artifact]: ...

    async def show_terminal(self, job_id: str, token: int, pieces: Sequence[Piece], typed: str) -> Shown:
        """Publish what the run's terminal shows; typed: the last of what was typed that it got. Repeatable.

        Raises Conflict (live_session_state_conflict) when its live session is over.
        """

    async def hear_typed(self, job_id: str, token: int, place: str, deliver: Callable[[Typed], None]) -> None:
        """Deliver what is typed into the run's terminal behind `place`, in order; until cancelled."""

    async def announce(self, presence: Presence) -> None: ...

    async def depart(self) -> None: ...
