"""Every metric of what a process does: name, unit, meaning. Those of the whole queue: queue_metrics.py.

Labels are bounded: never a job id, a repository or a worker's name; where they are known beforehand they are
there before the first event, since a rate needs a 0 to grow from. Each app or process has a registry of its
own, and a service is one process: to scale it is to start another one, which is scraped by itself.
"""

from __future__ import annotations

from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

import sluicegate
from sluicegate.job_seconds import JobSeconds
from sluicegate.queue_metrics import PREFIX, STATUSES, StoreFigures
from sluicegate.store import Store

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0)
RETRIED: Final = ("transient_runtime", "stuck_no_progress")
"""Classes of failures that are tried again (H-3)."""
STRATEGIES: Final = ("soft_reset", "hard_reset", "queue_retry", "operator")
TERMINAL: Final = STATUSES[2:]
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
        for result in ("jobs", "empty", "paused"):
            self.claims.labels(result)
        self.guard_hits = Counter(
            PREFIX + "claim_guard_hits", "Claims that the pause guard turned away.", registry=registry
        )
        self.claim_seconds = Histogram(
            PREFIX + "claim_seconds",
            "Seconds that one claim call to the store takes.",
            registry=registry,
            buckets=SHORT,
        )
        self.wait_seconds = JobSeconds(
            PREFIX + "job_wait_seconds",
            "Seconds from a job's creation to its first attempt.",
            registry,
            bounds=LONG,
        ).of[""]
        self.run_seconds = JobSeconds(
            PREFIX + "job_run_seconds",
            "Seconds from the start of a job's last attempt to its end, by status.",
            registry,
            bounds=LONG,
            label="status",
            values=TERMINAL,
        ).of


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
        for healed in product(RETRIED, STRATEGIES):
            self.self_heal_recovered.labels(*healed)
            self.self_heal_exhausted.labels(*healed)
            for outcome in ("recovered", "failed", "interrupted"):
                self.self_heal_attempts.labels(*healed, outcome)
        self.step_timeouts = Counter(
            PREFIX + "step_timeouts",
            "Steps ended for taking too long, by kind: wall, idle or no_progress.",
            ("kind",),
            registry=registry,
        )
        for kind in ("wall", "idle", "no_progress"):
            self.step_timeouts.labels(kind)


class SweeperMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.lag_seconds = Gauge(
            PREFIX + "sweeper_lag_seconds",
            "Seconds since each loop's next pass was due; grows while passes hang or fail, else 0.",
            ("loop",),
            registry=registry,
        )
        self.dead_letters_limit = Gauge(
            PREFIX + "dead_letters_limit",
            "Dead letters that are kept; past it the oldest go. How many there are is jobs{status}.",
            registry=registry,
        )


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
        describe_process(self.registry)

    async def page(self, store: Store) -> bytes:
        """The text that Prometheus reads."""
        if self._figures is not None:
            await self._figures.refresh(store)
        return generate_latest(self.registry)


def describe_process(registry: CollectorRegistry) -> None:
    """Add what every process shows of itself: its version, its memory, its processor time."""
    Gauge(PREFIX + "build_info", "1, with the version that runs.", ("version",), registry=registry).labels(
        sluicegate.__version__
    ).set(1)
    ProcessCollector(registry=registry)
