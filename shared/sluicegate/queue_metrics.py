"""Every metric of the whole queue, read from the store when a page is asked for. The others: metrics.py.

Any replica gives the same figures: take their maximum over the replicas, never their sum. One script gives
all counts and totals of one moment; what else is read is bounded by the number of workers and by
`waiting_work.MOST_LANES`. The number of jobs plays no part.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sluicegate.errors import StoreError
from sluicegate.log import log
from sluicegate.settings import Settings
from sluicegate.store import Store, server_health, standing, waiting_work
from sluicegate.store import figures as store_figures
from sluicegate.store.figures import Figures
from sluicegate.store.server_health import ServerHealth
from sluicegate.store.standing import LiveWorker
from sluicegate.store.waiting_work import Stranded
from sluicegate.times import from_rfc3339

FIGURES_SECONDS: Final = 5.0
PREFIX: Final = "sluicegate_"
Value = float | Mapping[str, float]
"""Of a gauge: alone, or by its label."""
STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled", "dead_letter")


class Look(Struct, frozen=True):
    """What one look at the store found. Read one after the other: each part is of its own moment."""

    figures: Figures
    workers: list[LiveWorker]
    stranded: Stranded
    health: ServerHealth | None
    settings: Settings


class StoreFigures(Collector):
    """The totals and gauges of the whole queue. Of a store that is away it shows only that it is."""

    def __init__(self) -> None:
        self._look: Look | None = None
        self._looked_at = -FIGURES_SECONDS
        self._looking = asyncio.Lock()

    async def refresh(self, store: Store) -> None:
        """Look at the store unless the last look is younger than 5 s; forget it when it cannot be read."""
        async with self._looking:
            if time.monotonic() - self._looked_at < FIGURES_SECONDS:
                return
            try:
                self._look = await look(store)
            except StoreError as error:
                self._look = None
                log.warning("figures_unread", code=error.code, detail=error.detail)
            self._looked_at = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """Every family is there at any time; what is not known now has no sample."""
        found = self._look
        up = GaugeMetricFamily(
            PREFIX + "store_up", "1 when the last look at the store found it usable, else 0."
        )
        up.add_metric([], int(found is not None))
        yield up
        for total in TOTALS:
            yield total.family(found)
        for gauge in GAUGES:
            yield gauge.family(found)


async def look(store: Store) -> Look:
    """Read all of it; changes nothing. Raises StoreError."""
    figures = await store_figures.read(store)
    workers = await standing.live_workers(store)
    return Look(
        figures,
        workers,
        await waiting_work.stranded(store, [worker.policy for worker in workers]),
        await server_health.read(store),
        store.settings,
    )


class Total(Struct, frozen=True):
    """A total that the store counts as `<counter>:<label>[:<label>]`.

    usual: labels that are shown before anything is counted: a rate needs a 0 to grow from.
    """

    name: str
    meaning: str
    counter: str
    labels: tuple[str, ...] = ()
    usual: tuple[tuple[str, ...], ...] = ()

    def family(self, found: Look | None) -> Metric:
        family = CounterMetricFamily(PREFIX + self.name, self.meaning, labels=self.labels)
        if found is not None:
            for labels, value in sorted(self._values(found.figures.counters).items()):
                family.add_metric(labels, value)
        return family

    def _values(self, counters: Mapping[str, int]) -> dict[tuple[str, ...], int]:
        if not self.labels:
            return {(): counters.get(self.counter, 0)}
        values = dict.fromkeys(self.usual, 0)
        for key, value in counters.items():
            first, *rest = key.split(":", len(self.labels))
            if first == self.counter and len(rest) == len(self.labels):
                values[tuple(rest)] = value
        return values


class Figure(Struct, frozen=True):
    """A gauge: `of` says its value, by label where it has one; None where it is not known."""

    name: str
    meaning: str
    of: Callable[[Look], Value | None]
    label: str | None = None

    def family(self, found: Look | None) -> Metric:
        labels = [self.label] if self.label else []
        family = GaugeMetricFamily(PREFIX + self.name, self.meaning, labels=labels)
        value = None if found is None else self.of(found)
        if isinstance(value, Mapping):
            for label, each in value.items():
                family.add_metric([label], each)
        elif value is not None:
            family.add_metric([], value)
        return family


def _jobs(found: Look) -> dict[str, float]:
    return {status: getattr(found.figures.counts, status) for status in STATUSES}


def _oldest(found: Look) -> dict[str, float]:
    return {band: (age or 0) / 1000 for band, age in found.figures.oldest_waiting_ms.items()}


def _pause_age(found: Look) -> float:
    system = found.figures.system
    if not system.workers_paused or system.requested_at is None:
        return 0.0
    return max(0, found.figures.now_ms - from_rfc3339(system.requested_at)) / 1000


def _quiesce_pending(found: Look) -> int:
    system = found.figures.system
    quiesced = system.workers_paused and system.mode == "quiesce"
    return sum(worker.under_way for worker in found.workers) if quiesced else 0


def _stranded_seconds(found: Look) -> float:
    since = found.stranded.since_ms
    return 0.0 if since is None else max(0, found.figures.now_ms - since) / 1000


def _memory_limit(found: Look) -> float | None:
    health = found.health
    return None if health is None else health.max_memory_bytes * found.settings.max_memory_share


def _of_server(of: Callable[[ServerHealth], Value]) -> Callable[[Look], Value | None]:
    return lambda found: None if found.health is None else of(found.health)


TOTALS: Final = (
    Total("jobs_enqueued", "Jobs accepted.", "enqueued"),
    Total(
        "jobs_finished", "Jobs that reached a terminal state.", "finished", ("status",),
        (("succeeded",), ("failed",), ("cancelled",), ("dead_letter",)),
    ),
    Total(
        "retries", "Attempts that led to another one, by reason; releases: past the limit of releases.",
        "retries", ("reason",),
        (("failure",), ("lease_expired",), ("releases",), ("release",), ("redrive",)),
    ),
    Total("lease_expired", "Leases that ran out with nobody renewing them.", "lease_expired"),
    Total(
        "dead_letters", "Jobs whose attempts were used up.", "dead_letters", ("reason",),
        (("failure",), ("lease_expired",), ("releases",)),
    ),
    Total(
        "live_sessions", "Live sessions that came into a state: starting, ready, revoked, ended, error.",
        "live", ("status",),
        (("starting",), ("ready",), ("revoked",), ("ended",), ("error",)),
    ),
    Total("cancel_requests", "Cancel requests by operators.", "cancel_requests"),
    Total(
        "pause_transitions", "Pauses and resumes.", "pause", ("action", "mode"),
        (("pause", "drain"), ("pause", "quiesce"), ("resume", "")),
    ),
    Total(
        "narrow_pause_transitions", "Pauses and resumes of one type, repository, capability or worker.",
        "narrow_pause", ("action", "scope"),
    ),
)  # fmt: skip

GAUGES: Final = (
    Figure("jobs", "Jobs by status; queued ones that are not due are under jobs_delayed.", _jobs, "status"),
    Figure("jobs_delayed", "Queued jobs whose time has not come.", lambda it: it.figures.counts.delayed),
    Figure("jobs_due", "Delayed jobs that are due, and not promoted yet.", lambda it: it.figures.due),
    Figure(
        "jobs_stale", "Running jobs whose lease has expired.", lambda it: it.figures.counts.stale_running
    ),
    Figure(
        "jobs_limit", "Waiting and delayed jobs past which enqueue is refused.",
        lambda it: it.settings.max_queued,
    ),
    Figure("oldest_waiting_seconds", "Age of the oldest claimable job by priority band.", _oldest, "band"),
    Figure("lanes", "Lanes with entries.", lambda it: it.figures.lanes),
    Figure("lanes_limit", "Lanes past which enqueue is refused.", lambda it: it.settings.max_lanes),
    Figure(
        "stranded_lanes",
        "Lanes with waiting jobs that no live worker may take, of the first "
        f"{waiting_work.MOST_LANES:,} lanes in order of claims.",
        lambda it: it.stranded.lanes,
    ),
    Figure("stranded_jobs", "Waiting jobs in those lanes.", lambda it: it.stranded.jobs),
    Figure("stranded_seconds", "Age of the oldest of these jobs; 0 without any.", _stranded_seconds),
    Figure("workers", "Workers heard of within 30 s, but for those that stop.", lambda it: len(it.workers)),
    Figure(
        "workers_paused", "1 while the workers are paused, else 0.",
        lambda it: int(it.figures.system.workers_paused),
    ),
    Figure("pause_age_seconds", "Seconds since the pause began; 0 while not paused.", _pause_age),
    Figure(
        "quiesce_pending_jobs",
        "Jobs that live workers have not brought to a checkpoint yet, while a quiesce is in force; else 0.",
        _quiesce_pending,
    ),
    Figure(
        "narrow_pauses", "Pauses of one type, repository, capability or worker in force.",
        lambda it: it.figures.narrow_pauses, "scope",
    ),
    Figure(
        "store_memory_bytes", "Memory that the store's server uses.",
        _of_server(lambda server: server.used_memory_bytes),
    ),
    Figure(
        "store_memory_limit_bytes",
        "Memory of the store past which enqueue is refused; 0: its server has no maxmemory.", _memory_limit,
    ),
    Figure(
        "store_connections", "Connections to the store's server.",
        _of_server(lambda server: server.connections),
    ),
    Figure(
        "store_connections_limit", "Connections that it takes.",
        _of_server(lambda server: server.max_connections),
    ),
    Figure(
        "store_unsafe",
        "1 where what the store acknowledged may be lost, by check: eviction (maxmemory-policy is not "
        "noeviction), append_only (a restart loses jobs), fsync (less is on disk than SLUICEGATE_DURABILITY "
        "promises), append_write, snapshot_write (the last write to disk failed).",
        _of_server(lambda server: server.unsafe), "check",
    ),
)  # fmt: skip
