"""What holds up a drain, and how long it is likely to take (P-13, 70-47)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from sluicegate.model import Counts, Job, SystemState
from sluicegate.operations.run_state import live_control
from sluicegate.pauses import holds
from sluicegate.store import jobs as job_records
from sluicegate.store import narrow_pauses
from sluicegate.store.connection import Store
from sluicegate.store.jobs import JobFilter
from sluicegate.times import from_rfc3339

NAMED: Final = 100
"""Blockers are named up to this number; `metrics` counts them all."""
SAMPLE: Final = 100
FEWEST: Final = 5
"""An estimate needs this many recent runs of a type: fewer say nothing about its spread."""


class Remedy(Struct, rename="camel", kw_only=True):
    """One way to be rid of a stale job, for people. action: `cancel` or `resume`."""

    action: Literal["cancel", "resume"]
    message: str


class Blocker(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A running job. One whose lease has expired is stale: while paused nobody ends it unasked (P-10)."""

    job_id: str
    worker_id: str | None
    running_since: str | None
    lease_expires_at: str | None
    stale: bool = False
    remedies: list[Remedy] = []


class Estimate(Struct, rename="camel", kw_only=True):
    """Time until every running job has ended: as likely as not by p50, nine times in ten by p90."""

    p50_seconds: float
    p90_seconds: float


class Drain(Struct, rename="camel", kw_only=True):
    blockers: list[Blocker]
    estimate: Estimate | None


async def progress(store: Store, counts: Counts, system: SystemState) -> Drain:
    """Blockers, longest running first, and an estimate where past runs allow one.

    There is none when nothing runs, when a job waits for a person (it is stale, quiesced or held by an
    operator), when a job's type has too few recent runs, or when a job has already outlasted all of them.
    """
    if counts.is_drained:
        return Drain(blockers=[], estimate=None)
    running, more = await job_records.listing(store, JobFilter(status="running"), cursor=None, limit=NAMED)
    now = await store.now_ms()
    running.sort(key=lambda job: job.started_at or "")
    blockers = [_blocker(job, now) for job in running]
    known = more is None and counts.stale_running == 0 and not await _waiting(store, running, system)
    return Drain(blockers=blockers, estimate=await _estimate(store, running, now) if known else None)


async def _waiting(store: Store, running: Sequence[Job], system: SystemState) -> bool:
    """Whether one of them goes on only when somebody says so, at its next checkpoint if not yet."""
    if system.mode == "quiesce":
        return True
    quiesced = [each for each in (await narrow_pauses.read(store)).items if each.mode == "quiesce"]
    return any(
        ((wanted := live_control(job)) is not None and wanted.paused)
        or any(holds(pause, job, job.claimed_by) for pause in quiesced)
        for job in running
    )


def _blocker(job: Job, now: int) -> Blocker:
    """now: the store's clock, which alone says what is stale."""
    stale = job.lease_expires_at is not None and from_rfc3339(job.lease_expires_at) <= now
    return Blocker(
        job_id=job.id,
        worker_id=job.claimed_by,
        running_since=job.started_at,
        lease_expires_at=job.lease_expires_at,
        stale=stale,
        remedies=[
            Remedy(
                action="cancel",
                message=f"if nobody needs it any more, cancel it: `sluicegate jobs cancel {job.id}`",
            ),
            Remedy(
                action="resume",
                message="if it is to run again, resume by force: `sluicegate resume --force`; another worker "
                "then goes on from its last checkpoint",
            ),
        ]
        if stale
        else [],
    )


async def _estimate(store: Store, running: Sequence[Job], now: int) -> Estimate | None:
    past: dict[str, list[float]] = {}
    for kind in {job.type for job in running}:
        recent = JobFilter(status="succeeded", type=kind)
        ended, _ = await job_records.listing(store, recent, cursor=None, limit=SAMPLE)
        past[kind] = run_times(ended)
        if len(past[kind]) < FEWEST:
            return None
    remaining = []
    for job in running:
        elapsed = (now - from_rfc3339(job.started_at)) / 1000 if job.started_at else 0.0
        remaining.append([seconds - elapsed for seconds in past[job.type] if seconds > elapsed])
    return until_all_end(remaining)


def run_times(ended: Iterable[Job]) -> list[float]:
    """Seconds from start to end of each job's last attempt."""
    return [
        (from_rfc3339(job.finished_at) - from_rfc3339(job.started_at)) / 1000
        for job in ended
        if job.started_at and job.finished_at
    ]


def until_all_end(remaining: Sequence[Sequence[float]]) -> Estimate | None:
    """When all of several independent jobs will have ended, from each one's likely remaining seconds.

    The slowest decides, so the chance that all are done by t is the product of each one's; taking the
    largest median instead promises too early, the more the more jobs run.
    """
    if not remaining or not all(remaining):
        return None
    ordered = [sorted(each) for each in remaining]
    moments = sorted({seconds for each in ordered for seconds in each})

    def first(share: float) -> float:
        low, high = 0, len(moments) - 1
        while low < high:
            middle = (low + high) // 2
            chance = 1.0
            for each in ordered:
                chance *= bisect_right(each, moments[middle]) / len(each)
            if chance >= share:
                high = middle
            else:
                low = middle + 1
        return round(moments[low], 3)

    return Estimate(p50_seconds=first(0.5), p90_seconds=first(0.9))
