"""Claims and leases: who may work on what, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from sluicegate import keys
from sluicegate.errors import Busy, RequestError, SluicegateError
from sluicegate.model import (
    ID_PATTERN,
    MAX_ATTEMPTS_DEFAULT,
    Job,
    LiveControl,
    NarrowPause,
    Pauses,
    Policy,
    SystemState,
)
from sluicegate.store import jobs as jobs_module
from sluicegate.store import limits, rendering, words
from sluicegate.store.connection import Store
from sluicegate.tracing import TraceContext, from_text


class Claimed(NamedTuple):
    """jobs: each with its lease token. next_due_ms: when the next delayed job is due (store's clock).

    pause: that of this worker, which is why it got nothing.
    """

    jobs: list[Job]
    system: SystemState
    now_ms: int
    next_due_ms: int | None
    pause: NarrowPause | None = None


class Attempt(NamedTuple):
    """A claimed job as the store returned it: rendered only when somebody looks."""

    job_id: str
    fields: list[str]
    token: int
    lease_expires: str
    worker_id: str
    claimed_at_ms: int

    @property
    def type(self) -> str:
        """The job's type, read off its lane: no JSON is decoded for it."""
        return unquote(self.field("lane").split("|", 2)[1])

    @property
    def max_run_seconds(self) -> float | None:
        limit = self.field("max_run_ms")
        return int(limit) / 1000 if limit else None

    @property
    def is_last(self) -> bool:
        """Whether its failure leaves the job no other attempt."""
        most = int(self.field("max_attempts") or MAX_ATTEMPTS_DEFAULT)
        return int(self.field("attempt") or 1) >= most

    @property
    def waited_ms(self) -> int | None:
        """From the enqueue to this claim; None unless it is the job's first."""
        if self.token != 1:
            return None
        return max(0, self.claimed_at_ms - int(self.field("created_at")))

    @property
    def live_control(self) -> LiveControl | None:
        return (
            rendering.live_control(rendering.fields(self.fields)) if self.field("control_version") else None
        )

    @property
    def live_version(self) -> int:
        return int(self.field("live") or 0)

    @property
    def cancel_requested_ms(self) -> int | None:
        """When its cancel was asked for: only in the answer to a claim that is repeated."""
        asked = self.field("cancel_at")
        return int(asked) if asked else None

    @property
    def trace(self) -> TraceContext | None:
        text = self.field("trace")
        return from_text(text) if text else None

    def field(self, name: str) -> str:
        """A stored field, empty when it is not set."""
        names = self.fields[::2]
        return self.fields[names.index(name) * 2 + 1] if name in names else ""

    def job(self) -> Job:
        return rendering.claimed_job(
            self.job_id, self.fields, str(self.token), self.lease_expires, self.worker_id, self.claimed_at_ms
        )


class Opened(NamedTuple):
    """A claim's answer with its jobs as attempts; otherwise as Claimed."""

    attempts: list[Attempt]
    system: SystemState
    now_ms: int
    next_due_ms: int | None
    pause: NarrowPause | None = None


class Lease(NamedTuple):
    job_id: str
    token: int
    lease_ms: int


class Wishes(NamedTuple):
    """What operators want of a running job, and until when its lease runs (ms)."""

    lease_expires_ms: int
    cancel_requested_at_ms: int | None
    cancel_requested_by: str | None
    cancel_reason: str | None
    live_control: LiveControl | None
    live_version: int = 0
    """Of the run's live session: it grows with each change; 0 when there was never one."""


class Renewal(NamedTuple):
    """pauses: the narrower ones in force; None where nobody told."""

    items: list[Wishes | RequestError]
    system: SystemState
    now_ms: int
    pauses: Pauses | None = None


class Renewed(NamedTuple):
    items: list[Job | SluicegateError]
    system: SystemState
    pauses: Pauses | None = None


async def claim(
    store: Store, policy: Policy, *, worker_id: str, lease_ms: int, limit: int, request_id: str
) -> Claimed:
    """Open the next attempts and show them as jobs; see `open_attempts`."""
    opened = await open_attempts(
        store, policy, worker_id=worker_id, lease_ms=lease_ms, limit=limit, request_id=request_id
    )
    return Claimed([attempt.job() for attempt in opened.attempts], *opened[1:])


async def open_attempts(
    store: Store, policy: Policy, *, worker_id: str, lease_ms: int, limit: int, request_id: str
) -> Opened:
    """Open the next attempts, highest priority and longest waiting first; none while paused (Q-12, P-4).

    lease_ms: milliseconds, 1_000 to 3_600_000. limit: jobs, 1 to 100. If the reply is lost, repeat with the
    same request_id: the same attempts come back (Q-16). Raises StoreUnavailable, StoreUninitialised, Busy.
    """
    while True:
        reply = await store.run(
            "claim", worker=worker_id, policy=policy.id, lease_ms=lease_ms, limit=limit, request=request_id
        )
        if reply[0] == "PAUSED":
            return Opened([], rendering.system(reply[1]), 0, None)
        if reply[0] == "WORKER_PAUSED":
            _, system, name, record = reply
            return Opened([], rendering.system(system), 0, None, rendering.narrow_pause(name, record))
        if reply[0] == "LIMITS_CHANGING":
            await limits.apply(store)
        elif reply[0] == "UNKNOWN_POLICY":
            await _register(store, policy)
        elif reply[3] or not reply[4]:
            break
    pause, now, next_due, entries, _ = reply
    attempts = [
        Attempt(job_id, flat, int(token), expires, worker_id, int(now))
        for job_id, flat, token, expires in entries
    ]
    return Opened(attempts, rendering.system(pause), int(now), int(float(next_due)) if next_due else None)


async def renew(store: Store, worker_id: str, leases: Sequence[Lease]) -> Renewal:
    """Extend leases and learn what operators want; a lost lease comes back as LeaseLost in its place."""
    items: list[Wishes | RequestError] = []
    for start in range(0, max(len(leases), 1), 100):
        part = leases[start : start + 100]
        pause, now, replies, version, pauses = await store.run(
            "heartbeat", [(lease.job_id, lease.token, lease.lease_ms) for lease in part], worker=worker_id
        )
        items += [_wishes(reply, lease.job_id) for reply, lease in zip(replies, part, strict=True)]
    return Renewal(items, rendering.system(pause), int(now), rendering.pauses(version, pauses))


async def heartbeat(store: Store, worker_id: str, leases: Sequence[Lease]) -> Renewed:
    """Extend leases; the jobs as they are then, with the pause state (P-5)."""
    renewal = await renew(store, worker_id, leases)
    held = [lease for lease, item in zip(leases, renewal.items, strict=True) if isinstance(item, Wishes)]
    found = {job.id: job for job in await jobs_module.read(store, [lease.job_id for lease in held]) if job}
    items: list[Job | SluicegateError] = []
    for lease, item in zip(leases, renewal.items, strict=True):
        job = found.get(lease.job_id)
        if isinstance(item, Wishes) and job is not None:
            job.lease_token = str(lease.token)
            items.append(job)
        else:
            items.append(
                item if isinstance(item, RequestError) else words.refused("LEASE_LOST", lease.job_id)
            )
    return Renewed(items, renewal.system, renewal.pauses)


class ClaimsBy(NamedTuple):
    """How often a worker has claimed a job, and the number of the job's latest lease (0: there is no job)."""

    times: int
    token: int


async def claims_by(store: Store, worker_id: str, job_id: str) -> ClaimsBy:
    """Counted in the job's history, whose claims are never trimmed; in one look for a job claimed once."""
    if not ID_PATTERN.match(job_id):
        return ClaimsBy(0, 0)
    token = int(await store.command("HGET", keys.job(job_id), "token") or 0)
    if token < 2:
        return ClaimsBy(token, token)
    times, after = 0, "-"
    while True:
        entries = await store.command("XRANGE", keys.job_events(job_id), after, "+", "COUNT", 1000)
        for _, flat in entries:
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            times += fields["kind"] == "job.claimed" and fields["workerId"] == worker_id
        if len(entries) < 1000:
            return ClaimsBy(times, token)
        after = f"({entries[-1][0]}"


async def _register(store: Store, policy: Policy) -> None:
    """Make a policy known in slices; its ready lanes are complete afterwards."""
    cursor = "0"
    while True:
        reply = await store.run("register_policy", policy=policy.id, text=policy.text, cursor=cursor)
        if reply[0] == "RATE_LIMITED":
            raise Busy("256 worker policies are in use; try again in a minute", code="rate_limited")
        cursor = reply[0]
        if cursor == "0":
            return


def _wishes(reply: Sequence[str], job_id: str) -> Wishes | RequestError:
    if reply[0] != "OK":
        return words.refused(reply[0], job_id)
    _, expires, cancel_at, cancel_by, reason, controls, live = reply
    return Wishes(
        int(expires),
        int(cancel_at) if cancel_at else None,
        cancel_by or None,
        reason or None,
        rendering.live_control(rendering.fields(controls)),
        int(live or 0),
    )
