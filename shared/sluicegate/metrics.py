"""Every metric of Sluicegate: its name, its unit, what it tells.

A process has the metrics of what it does; the totals and gauges that come from the store are read when
they are asked for, at most 5 s old, so that any replica gives the same figures. Labels are bounded: never
a job id, a repository or a worker's name. Each app or process has a registry of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sluicegate.errors import StoreError
from sluicegate.log import log
from sluicegate.store import Store
from sluicegate.store import figures as store_figures
from sluicegate.store.figures import Figures
from sluicegate.times import from_rfc3339

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FIGURES_SECONDS: Final = 5.0
PREFIX: Final = "sluicegate_"

SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMetrics:
    """Requests by route template. Long polls and streams are counted, and their length left out."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route")
        self._requests = Counter(
            PREFIX + "http_requests",
            "HTTP requests answered; status 499: the client left before the answer.",
            (*labels, "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            PREFIX + "http_request_seconds",
            "Seconds from the head of a request to its answer, without long polls and event streams.",
            labels,
            registry=registry,
            buckets=SHORT,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """seconds: None for a request that was long because it was asked to be."""
        known = self._known.get((method, route, status))
        if known is None:
            verb = method if method in METHODS else "other"
            known = self._requests.labels(verb, route, str(status)), self._seconds.labels(verb, route)
            if verb == method:
                self._known[method, route, status] = known
        known[0].inc()
        if seconds is not None:
            known[1].observe(seconds)


class JobMetrics:
    """Claims and attempts, as seen by the process that makes them for a worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.claims = Counter(
            PREFIX + "claims", "Claims by result: jobs, empty or paused.", ("result",), registry=registry
        )
        self.guard_hits = Counter(
            PREFIX + "claim_guard_hits", "Claims that the pause guard turned away.", registry=registry
        )
        self.claim_seconds = Histogram(
            PREFIX + "claim_seconds",
            "Seconds that one claim call to the store takes.",
            registry=registry,
            buckets=SHORT,
        )
        self.wait_seconds = Histogram(
            PREFIX + "job_wait_seconds",
            "Seconds from a job's creation to its first attempt.",
            registry=registry,
            buckets=LONG,
        )
        self.run_seconds = Histogram(
            PREFIX + "job_run_seconds",
            "Seconds from the start of a job's last attempt to its end, by status.",
            ("status",),
            registry=registry,
            buckets=LONG,
        )


class TerminalMetrics:
    """Who watches the terminals of runs through one control process, and types into them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.viewers = Gauge(
            PREFIX + "terminal_viewers", "People who watch the terminal of a run.", registry=registry
        )
        self.ended = Counter(
            PREFIX + "terminal_viewers_ended",
            "Viewers that left or were left, by why: left, over (the run or its session), slow, "
            "not_understood, not_allowed or stopping.",
            ("reason",),
            registry=registry,
        )
        self.typed = Counter(
            PREFIX + "terminal_typed",
            "Messages to type or to resize, by result: typed or refused.",
            ("result",),
            registry=registry,
        )


class WorkerMetrics:
    """What one worker process does; `worker_registry` adds them to a page of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.jobs = JobMetrics(registry)
        self.heartbeat_lateness_seconds = Histogram(
            PREFIX + "heartbeat_lateness_seconds",
            "Seconds by which a heartbeat came later than planned.",
            registry=registry,
            buckets=SHORT,
        )
        self.cancel_latency_seconds = Histogram(
            PREFIX + "cancel_latency_seconds",
            "Seconds from the cancel request to the first signal at the job's processes.",
            registry=registry,
            buckets=SHORT,
        )
        self.slots = Gauge(
            PREFIX + "worker_slots",
            "Slots of this worker by state: free or busy.",
            ("state",),
            registry=registry,
        )
        self.checkpoint_pending_jobs = Gauge(
            PREFIX + "checkpoint_pending_jobs",
            "Jobs of this worker that were asked to wait and are not at a checkpoint yet, by who asked: "
            "worker_pause (a quiesce) or operator (a pause of the run).",
            ("reason",),
            registry=registry,
        )
        self.checkpoint_pending_seconds = Gauge(
            PREFIX + "checkpoint_pending_seconds",
            "Seconds since the one of them that has been asked longest was asked; 0 when there is none.",
            ("reason",),
            registry=registry,
        )
        self.step_duration_seconds = Histogram(
            PREFIX + "step_duration_seconds", "Seconds that one step took.", registry=registry, buckets=LONG
        )
        self.self_heal_attempts = Counter(
            PREFIX + "self_heal_attempts",
            "Attempts that were to heal a failure, by its class, how they came about, and their outcome: "
            "recovered, failed or interrupted.",
            ("class", "strategy", "outcome"),
            registry=registry,
        )
        self.self_heal_recovered = Counter(
            PREFIX + "self_heal_recovered",
            "Steps that finished after a failure, by its class and what healed it.",
            ("class", "strategy"),
            registry=registry,
        )
        self.self_heal_exhausted = Counter(
            PREFIX + "self_heal_exhausted",
            "Steps that used up their budget, by the class of the last failure and what was tried last.",
            ("class", "strategy"),
            registry=registry,
        )
        self.step_timeouts = Counter(
            PREFIX + "step_timeouts",
            "Steps ended for taking too long, by kind: wall, idle or no_progress.",
            ("kind",),
            registry=registry,
        )


class SweeperMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.lag_seconds = Gauge(
            PREFIX + "sweeper_lag_seconds",
            "Seconds by which the last pass of each loop came later than planned.",
            ("loop",),
            registry=registry,
        )
        self.dead_letters_limit = Gauge(
            PREFIX + "dead_letters_limit",
            "Dead letters that are kept; past it the oldest go. How many there are is jobs{status}.",
            registry=registry,
        )


class StoreFigures(Collector):
    """The totals and gauges of the whole queue. Without figures (a store that is away) it has no samples."""

    def __init__(self) -> None:
        self._figures: Figures | None = None
        self._read_at = -FIGURES_SECONDS
        self._reading = asyncio.Lock()

    async def refresh(self, store: Store) -> None:
        """Read the store unless the figures are younger than 5 s; forget them when it cannot be read."""
        async with self._reading:
            if time.monotonic() - self._read_at < FIGURES_SECONDS:
                return
            try:
                self._figures = await store_figures.read(store)
            except StoreError as error:
                self._figures = None
                log.warning("figures_unread", code=error.code, detail=error.detail)
            self._read_at = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        counters = figures.counters if figures else {}
        yield _total("jobs_enqueued", "Jobs accepted.", counters, "enqueued")
        yield _totals("jobs_finished", "Jobs that reached a terminal state.", counters, "finished", "status")
        yield _totals(
            "retries", "Attempts that led to another one, by reason.", counters, "retries", "reason"
        )
        yield _total(
            "lease_expired", "Leases that ran out with nobody renewing them.", counters, "lease_expired"
        )
        yield _totals("dead_letters", "Jobs whose attempts were used up.", counters, "dead_letters", "reason")
        yield _totals(
            "live_sessions",
            "Live sessions that came into a state: starting, ready, revoked, ended, error.",
            counters,
            "live",
            "status",
        )
        yield _total("cancel_requests", "Cancel requests by operators.", counters, "cancel_requests")
        yield _totals("pause_transitions", "Pauses and resumes.", counters, "pause", "action", "mode")
        yield _totals(
            "narrow_pause_transitions",
            "Pauses and resumes of one type, repository, capability or worker.",
            counters,
            "narrow_pause",
            "action",
            "scope",
        )
        yield from self._gauges(figures)

    def _gauges(self, figures: Figures | None) -> Iterator[Metric]:
        jobs = _gauge(
            "jobs", "Jobs by status; queued ones that are not due are under jobs_delayed.", "status"
        )
        delayed = _gauge("jobs_delayed", "Queued jobs whose time has not come.")
        stale = _gauge("jobs_stale", "Running jobs whose lease has expired.")
        oldest = _gauge("oldest_waiting_seconds", "Age of the oldest claimable job by priority band.", "band")
        lanes = _gauge("lanes", "Lanes with entries.")
        paused = _gauge("workers_paused", "1 while the workers are paused, else 0.")
        pause_age = _gauge("pause_age_seconds", "Seconds since the pause began; 0 while not paused.")
        narrow = _gauge(
            "narrow_pauses", "Pauses of one type, repository, capability or worker in force.", "scope"
        )
        if figures is not None:
            counts = figures.counts
            for status in ("queued", "running", "succeeded", "failed", "cancelled", "dead_letter"):
                jobs.add_metric([status], getattr(counts, status))
            delayed.add_metric([], counts.delayed)
            stale.add_metric([], counts.stale_running)
            for band, age in figures.oldest_waiting_ms.items():
                oldest.add_metric([band], (age or 0) / 1000)
            lanes.add_metric([], figures.lanes)
            paused.add_metric([], int(figures.system.workers_paused))
            pause_age.add_metric([], _pause_age(figures))
            for scope, number in figures.narrow_pauses.items():
                narrow.add_metric([scope], number)
        yield from (jobs, delayed, stale, oldest, lanes, paused, pause_age, narrow)


class ServerMetrics:
    """What an HTTP service shows at /metrics. of_store: whether the whole queue's figures are among it."""

    def __init__(self, *, of_store: bool = True) -> None:
        self.registry = CollectorRegistry()
        self.http = HttpMetrics(self.registry)
        self.jobs = JobMetrics(self.registry)
        self.auth_failures = Counter(
            PREFIX + "auth_failures",
            "Requests refused for who made them, by the code of the refusal.",
            ("kind",),
            registry=self.registry,
        )
        self._figures = StoreFigures() if of_store else None
        if self._figures is not None:
            self.registry.register(self._figures)
        ProcessCollector(registry=self.registry)

    async def page(self, store: Store) -> bytes:
        """The text that Prometheus reads."""
        if self._figures is not None:
            await self._figures.refresh(store)
        return generate_latest(self.registry)


def _pause_age(figures: Figures) -> float:
    if not figures.system.workers_paused or figures.system.requested_at is None:
        return 0.0
    return max(0, figures.now_ms - from_rfc3339(figures.system.requested_at)) / 1000


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, meaning, labels=labels)


def _total(name: str, meaning: str, counters: dict[str, int], counter: str) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, meaning, value=counters.get(counter, 0))


def _totals(
    name: str, meaning: str, counters: dict[str, int], counter: str, *labels: str
) -> CounterMetricFamily:
    """One sample for each counter `<counter>:<label>[:<label>]`."""
    family = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
    for key, value in sorted(counters.items()):
        first, *rest = key.split(":", len(labels))
        if first == counter and len(rest) == len(labels):
            family.add_metric(rest, value)
    return family
