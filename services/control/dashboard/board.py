"""What the overview shows, as one value: two looks that found the same are equal."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from services.control.dashboard.charts import Drawn, draw
from sluicegate.model import Counts, Job, NarrowPause, SystemState
from sluicegate.operations.drain import Drain, progress
from sluicegate.operations.troubles import Trouble
from sluicegate.store import figures as store_figures
from sluicegate.store import jobs as job_records
from sluicegate.store import narrow_pauses
from sluicegate.store import workers as presence
from sluicegate.store.connection import Store
from sluicegate.store.figures import Figures
from sluicegate.store.flow import Flow
from sluicegate.store.jobs import JobFilter
from sluicegate.store.signs import Run
from sluicegate.store.workers import Presence
from sluicegate.times import from_rfc3339, now_ms, to_rfc3339

LATEST: Final = 25


class Row(Struct, frozen=True, kw_only=True):
    """One job in a list. `shown` is its status, or what people call it: delayed, stale."""

    id: str
    type: str
    shown: str
    attempt: int
    max_attempts: int
    worker: str | None
    created_at: str

    @classmethod
    def of(cls, job: Job) -> Row:
        return cls(
            id=job.id,
            type=job.type,
            shown=shown_status(job),
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            worker=job.claimed_by,
            created_at=job.created_at,
        )


class Board(Struct, kw_only=True):
    """oldest_waiting: since when the job waits that could be claimed first of all, by age.

    troubles, flow, runs: only on the overview. runs: what the workers' jobs are at."""

    system: SystemState
    pauses: list[NarrowPause]
    counts: Counts
    workers: list[Presence]
    jobs: list[Row]
    drain: Drain | None
    oldest_waiting: str | None
    troubles: list[Trouble] | None = None
    flow: Flow | None = None
    runs: dict[str, Run] = {}

    @property
    def drawn(self) -> Drawn | None:
        return None if self.flow is None else draw(self.flow)


async def look(store: Store, *, with_drain: bool = False) -> Board:
    """The pauses, the counts and the latest jobs. Reads only; raises StoreError.

    with_drain: while all workers are paused, what holds up the drain, too.
    """
    latest, _ = await job_records.listing(store, JobFilter(), cursor=None, limit=LATEST)
    figures = await store_figures.read(store)
    system, counts = figures.system, figures.counts
    return Board(
        system=system,
        pauses=(await narrow_pauses.read(store)).items,
        counts=counts,
        workers=await presence.listing(store),
        jobs=[Row.of(job) for job in latest],
        oldest_waiting=_oldest_waiting(figures),
        drain=await progress(store, counts, system) if with_drain and system.workers_paused else None,
    )


def _oldest_waiting(figures: Figures) -> str | None:
    ages = [age for age in figures.oldest_waiting_ms.values() if age is not None]
    return to_rfc3339(figures.now_ms - max(ages)) if ages else None


def shown_status(job: Job) -> str:
    """Delayed and stale are told by this host's clock: for display; the counts are by the store's."""
    if job.status == "queued" and job.next_attempt_at and from_rfc3339(job.next_attempt_at) > now_ms():
        return "delayed"
    if job.status == "running" and job.lease_expires_at and from_rfc3339(job.lease_expires_at) < now_ms():
        return "stale"
    return job.status
