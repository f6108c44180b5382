"""What the queue talks about: jobs, lanes, policies, events, the pause state.

Wire names are camelCase; times on the wire are RFC 3339 UTC with milliseconds. Structs that come from
outside forbid unknown fields, so that a misspelt option is refused and not silently ignored.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, unquote

import msgspec
from msgspec import Meta, Struct

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "dead_letter"]
STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled", "dead_letter")
TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled", "dead_letter"})
PauseMode = Literal["drain", "quiesce"]
PauseScope = Literal["type", "repository", "capability", "worker"]
EventLevel = Literal["info", "warn", "error"]

# `$` alone also matches before a last line feed; `$(?!\n)` does not, here and in a browser.
TYPE_PATTERN: Final = r"^[a-z][a-z0-9_.-]{0,63}$(?!\n)"
PRINTABLE_PATTERN: Final = r"^[^\x00-\x1f\x7f]{1,128}$(?!\n)"
ID_PATTERN: Final = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$(?!\n)")
MAX_ATTEMPTS_DEFAULT: Final = 3

JobType = Annotated[str, Meta(pattern=TYPE_PATTERN, description="what runs the job, like `task`")]
JobId = Annotated[str, Meta(pattern=ID_PATTERN.pattern, description="a UUIDv7 in lower case")]
Name = Annotated[str, Meta(pattern=PRINTABLE_PATTERN, description="1 to 128 printable characters")]
WorkerId = Annotated[str, Meta(pattern=PRINTABLE_PATTERN, description="name of the worker")]
Capability = Name
Priority = Annotated[int, Meta(ge=-1000, le=1000, description="higher first")]
LeaseSeconds = Annotated[float, Meta(ge=1, le=3600, description="length of the lease in seconds")]

Payload = Annotated[dict[str, Any], Meta(description="what the job's handler reads")]
OwnId = Annotated[JobId, Meta(description="a UUIDv7 of the producer's own, which makes a repeat safe")]
RequiredCapabilities = Annotated[
    list[Capability], Meta(max_length=100, description="what a worker must offer, like `git`")
]
AffinityKey = Annotated[Name, Meta(description="of the jobs of one key only one runs at a time")]
MaxAttempts = Annotated[int, Meta(ge=1, le=20, description="tries in all")]
MaxRunSeconds = Annotated[float, Meta(gt=0, le=30 * 86400, description="longest run of an attempt")]
DelaySeconds = Annotated[float, Meta(ge=0, le=365 * 86400, description="not before this long from now")]
NotBefore = Annotated[str, Meta(description="not before this time, like 2026-01-31T12:00:00Z")]
IdempotencyKey = Annotated[
    Name, Meta(description="the same key with the same job returns the first one, for 24 hours")
]


class NewJob(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A job as a producer describes it: the body of an enqueue.

    `id` may be drawn by the producer (UUIDv7), which makes a repeated enqueue safe; so does
    `idempotency_key`, for 24 hours and within one producer. Both together are refused.
    `delay_seconds` and `not_before` (RFC 3339) exclude each other.
    """

    type: JobType
    payload: Payload = {}
    id: OwnId | None = None
    priority: Priority = 0
    required_capabilities: RequiredCapabilities | None = None
    affinity_key: AffinityKey | None = None
    max_attempts: MaxAttempts = MAX_ATTEMPTS_DEFAULT
    max_run_seconds: MaxRunSeconds | None = None
    delay_seconds: DelaySeconds | None = None
    not_before: NotBefore | None = None
    idempotency_key: IdempotencyKey | None = None


class JobSpec(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """The part of a job that never changes, as stored: written once, decoded only in Python."""

    type: str
    payload: dict[str, Any] = {}
    priority: int = 0
    repository: str | None = None
    required_capabilities: list[str] = []
    affinity_key: str | None = None
    max_attempts: int = MAX_ATTEMPTS_DEFAULT
    max_run_seconds: float | None = None
    delay_seconds: float | None = None
    not_before: str | None = None
    created_by_user_id: str | None = None
    retry_of: str | None = None


class Job(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A job as everyone sees it. Unset fields are left out on the wire."""

    id: str
    type: str
    status: JobStatus
    priority: int = msgspec.field(default_factory=int)
    payload: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    repository: str | None = None
    required_capabilities: list[str] = msgspec.field(default_factory=list[str])
    affinity_key: str | None = None
    attempt: int = msgspec.field(default_factory=lambda: 1)
    max_attempts: int = msgspec.field(default_factory=lambda: MAX_ATTEMPTS_DEFAULT)
    releases: int = msgspec.field(default_factory=int)
    max_run_seconds: float | None = None
    created_at: str
    updated_at: str
    started_at: str | None = None
    finished_at: str | None = None
    next_attempt_at: str | None = None
    claimed_by: str | None = None
    lease_expires_at: str | None = None
    lease_token: str | None = None
    result_summary: str | None = None
    error_message: str | None = None
    failure_class: str | None = None
    created_by_user_id: str | None = None
    cancel_requested_at: str | None = None
    cancel_requested_by_user_id: str | None = None
    cancel_reason: str | None = None
    retry_of: str | None = None
    live_session_version: int | None = None
    """Grows with each change of the run's live session; none if it never had one."""
    traceparent: str | None = None
    tracestate: str | None = None
    """W3C context of the trace that its attempts are parts of: that of its enqueue."""

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL


class SystemState(Struct, rename="camel", kw_only=True):
    """The pause state that every claim and heartbeat reply carries (P-2, P-5)."""

    workers_paused: bool
    mode: PauseMode | None = None
    reason: str | None = None
    requested_by_user_id: str | None = None
    requested_at: str | None = None
    updated_at: str | None = None
    until: str | None = None
    version: int = 0


class NarrowPause(Struct, rename="camel", kw_only=True):
    """A pause of one type, repository, capability or worker (P-12). mode: None once it was lifted."""

    scope: PauseScope
    value: str
    mode: PauseMode | None
    reason: str | None = None
    requested_by_user_id: str | None = None
    requested_at: str | None = None
    updated_at: str | None = None
    until: str | None = None
    version: int = 0


class Pauses(Struct, rename="camel", kw_only=True):
    """The narrower pauses in force. version: of the latest change to any, also one that lifted it."""

    items: list[NarrowPause]
    version: int


RecoveryAction = Literal["retry_step", "hard_reset_step", "resume_from_step"]
RecoveryStrategy = Literal["soft_reset", "hard_reset"]


class Recovery(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """What an operator asks of the steps of a running task; it stays until its worker has answered (H-10).

    id: of this request; the answer names it. step_id: the step meant, None for the one at hand.
    """

    id: str
    action: RecoveryAction
    step_id: str | None = None
    strategy: RecoveryStrategy | None = None
    reason: str | None = None
    requested_by_user_id: str
    updated_at: str


class HandoffSummary(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """What a person did while the run was theirs: for the agent's next prompt (L-9)."""

    id: str
    text: str
    by_user_id: str
    updated_at: str


class LiveControl(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """What operators want of a run that has not ended; `payload.liveControl` of its job.

    reason, requested_by_user_id, updated_at: of the last pause, resume or takeover. version: grows with
    each change, so that what was said earlier is known when it comes later.
    """

    paused: bool
    hard: bool
    takeover: bool
    version: int
    reason: str | None = None
    requested_by_user_id: str | None = None
    updated_at: str | None = None
    recovery: Recovery | None = None
    summary: HandoffSummary | None = None
    message_id: str | None = None
    """Of the newest message to the agent: those that came before it have lower ones (L-6)."""


class OperatorMessage(Struct, rename="camel", kw_only=True):
    """Something that a person said to the agent of a run. id: of its control event."""

    id: str
    created_at: str
    actor_user_id: str
    message: str


MAX_GRANT_MINUTES: Final = 240
LiveProvider = Literal["browser", "tmate", "tmux"]
LiveStatus = Literal["starting", "ready", "revoked", "ended", "error"]


class LiveSession(Struct, rename="camel", kw_only=True):
    """A terminal on a running task (L-2). attach_ro, web_ro: ways to look; those to write only a grant tells.

    ended_at: when nothing was left of it, for a revoked one too. rw_granted_until: of the last grant, whether
    or not it is over; rw_granted_to: who has it. A worker that has not been heard of is not one that is gone:
    the sweeper ends the session after a minute.
    """

    id: str
    task_run_id: str
    provider: LiveProvider
    status: LiveStatus
    attach_ro: str | None = None
    web_ro: str | None = None
    worker_id: str | None = None
    worker_hostname: str | None = None
    created_at: str
    ready_at: str | None = None
    ended_at: str | None = None
    expires_at: str | None = None
    rw_granted_until: str | None = None
    rw_granted_to: str | None = None
    last_heartbeat_at: str | None = None
    error_message: str | None = None
    requested_by_user_id: str | None = None
    revoked_by_user_id: str | None = None


class Event(Struct, rename="camel", kw_only=True):
    """One line of a job's history (Q-5). `payload.kind` names it, `message` is the sentence for people."""

    id: str
    job_id: str
    level: EventLevel
    message: str
    payload: dict[str, Any] | None
    created_at: str


class NewEvent(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An event as a worker reports it."""

    level: EventLevel = "info"
    message: Annotated[str, Meta(min_length=1)]
    payload: dict[str, Any] | None = None


class Counts(Struct, rename="camel", kw_only=True):
    """Exact numbers of jobs, read in one step (P-10). `running` and `stale_running` do not overlap."""

    queued: int
    delayed: int
    running: int
    stale_running: int
    succeeded: int
    failed: int
    cancelled: int
    dead_letter: int

    @property
    def is_drained(self) -> bool:
        return self.running == 0 and self.stale_running == 0


class Lane(Struct, frozen=True):
    """What the jobs of one stream have in common. `text` is its name in the store.

    `<priority>|<type>|<repository>|<capabilities>|<affinity key>`, each part percent-encoded, the
    capabilities sorted and joined with commas. Scripts match the parts as they stand.
    """

    type: str
    priority: int = 0
    repository: str | None = None
    capabilities: tuple[str, ...] = ()
    affinity_key: str | None = None

    @property
    def text(self) -> str:
        return _lane_text(self)

    @classmethod
    def parse(cls, text: str) -> Lane:
        priority, kind, repository, capabilities, affinity = text.split("|")
        return cls(
            type=unquote(kind),
            priority=int(priority),
            repository=unquote(repository) or None,
            capabilities=tuple(unquote(each) for each in capabilities.split(",") if each),
            affinity_key=unquote(affinity) or None,
        )


class Policy(Struct, frozen=True):
    """Which lanes a worker may read: None is no restriction, an empty tuple is nothing (Q-3, Q-4)."""

    types: tuple[str, ...] | None = None
    repositories: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()

    def fits(self, lane: Lane) -> bool:
        """Whether it may read this lane; the scripts decide by the same rule."""
        return (
            self.takes_type(lane)
            and self.takes_repository(lane)
            and set(lane.capabilities) <= set(self.capabilities)
        )

    def takes_type(self, lane: Lane) -> bool:
        return self.types is None or lane.type in self.types

    def takes_repository(self, lane: Lane) -> bool:
        if self.repositories is None:
            return True
        return lane.repository is not None and lane.repository in self.repositories

    @property
    def text(self) -> str:
        """`<types>|<repositories>|<capabilities>`: `*` or `,a,b,`, in the same encoding as a lane's name."""
        return "|".join((_listed(self.types), _listed(self.repositories), _listed(self.capabilities or ())))

    @property
    def id(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@lru_cache(4096)
def _lane_text(lane: Lane) -> str:
    """Producers enqueue into few lanes: working a name out costs more than the rest of a job's checks."""
    return "|".join(
        (
            str(lane.priority),
            encoded(lane.type),
            encoded(lane.repository or ""),
            ",".join(sorted(encoded(each) for each in set(lane.capabilities))),
            encoded(lane.affinity_key or ""),
        )
    )


def encoded(part: str) -> str:
    """A part of a lane's name or of a policy, as the store has it."""
    return quote(part, safe="/:@.-_~ ")


def _listed(values: tuple[str, ...] | None) -> str:
    if values is None:
        return "*"
    return "," + "".join(f"{each}," for each in sorted(encoded(value) for value in set(values)))
