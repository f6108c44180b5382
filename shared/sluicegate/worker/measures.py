"""What a worker's metrics say of its claims, its cancels and its attempts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sluicegate import tracing
from sluicegate.guard_hits import GuardHits
from sluicegate.metrics import WorkerMetrics
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.holds import HOLDS, Hold
from sluicegate.worker.transports import Claimed, Found


class Measures:
    """worker_id: whose claims and ends are counted here; None over HTTP, where queue_api counts them."""

    def __init__(self, metrics: WorkerMetrics, worker_id: str | None) -> None:
        self._cancel_latency = metrics.cancel_latency_seconds
        self._pending_jobs = metrics.checkpoint_pending_jobs
        self._pending_seconds = metrics.checkpoint_pending_seconds
        self._jobs = metrics.jobs if worker_id is not None else None
        self._worker_id = worker_id or ""
        self._guard_hits = GuardHits(metrics.jobs.guard_hits)

    def watch(self, on_their_way: Callable[[Hold], list[float]]) -> None:
        """Show whenever somebody looks how many attempts are on their way to a checkpoint, and how long."""
        for reason in HOLDS:
            self._pending_jobs.labels(reason).set_function(partial(_number, on_their_way, reason))
            self._pending_seconds.labels(reason).set_function(partial(_longest, on_their_way, reason))

    def claimed(self, found: Found) -> None:
        """One claim was answered."""
        tracing.spans().claimed(found.attempts, found.seconds)
        if self._jobs is None:
            return
        paused = found.system.workers_paused or found.pause is not None
        self._jobs.claim_seconds.observe(found.seconds)
        if found.pause is not None:
            self._guard_hits.note_narrow(self._worker_id, found.pause)
        elif paused and not found.attempts:
            self._guard_hits.note(self._worker_id, found.system)
        self._jobs.claims.labels("jobs" if found.attempts else "paused" if paused else "empty").inc()
        for attempt in found.attempts:
            if (waited_ms := attempt.waited_ms) is not None:
                self._jobs.wait_seconds.observe(waited_ms / 1000)

    def cancel_heard(self, attempt: RunningAttempt) -> None:
        """The signals leave in this moment. Between hosts, the difference of their clocks is in it."""
        if attempt.delivered_ms and attempt.cancel_requested_ms:
            waited_ms = attempt.delivered_ms - attempt.cancel_requested_ms
            self._cancel_latency.observe(max(0, waited_ms) / 1000)

    def ended(self, attempt: RunningAttempt, ending: Ending, seconds: float) -> None:
        """The last attempt of a job has ended after so long; an attempt that is retried is none."""
        if self._jobs is not None and (status := _final_status(attempt.claimed, ending)):
            self._jobs.run_seconds[status].observe(seconds)


def _number(on_their_way: Callable[[Hold], list[float]], reason: Hold) -> float:
    return len(on_their_way(reason))


def _longest(on_their_way: Callable[[Hold], list[float]], reason: Hold) -> float:
    return max(on_their_way(reason), default=0.0)


def _final_status(claimed: Claimed, ending: Ending) -> str | None:
    match ending:
        case Complete():
            return "succeeded"
        case Cancelled():
            return "cancelled"
        case Fail(retryable=False):
            return "failed"
        case Fail():
            return "dead_letter" if claimed.is_last else None
    return None
