"""What a worker's metrics say of its claims, its cancels and its attempts."""

from __future__ import annotations

from sluicegate.metrics import WorkerMetrics
from sluicegate.model import MAX_ATTEMPTS_DEFAULT
from sluicegate.store.claims import Attempt, Opened
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail
from sluicegate.worker.attempt import RunningAttempt


class Measures:
    def __init__(self, metrics: WorkerMetrics) -> None:
        self._cancel_latency = metrics.cancel_latency_seconds
        self._jobs = metrics.jobs

    def claimed(self, opened: Opened, seconds: float) -> None:
        """One claim was answered, after so long."""
        paused = opened.system.workers_paused
        self._jobs.claim_seconds.observe(seconds)
        if paused:
            self._jobs.guard_hits.inc()
        self._jobs.claims.labels("jobs" if opened.attempts else "paused" if paused else "empty").inc()
        for attempt in opened.attempts:
            if attempt.token == 1:
                waited_ms = attempt.claimed_at_ms - int(attempt.field("created_at"))
                self._jobs.wait_seconds.observe(max(0, waited_ms) / 1000)

    def cancel_heard(self, attempt: RunningAttempt) -> None:
        """The signals leave in this moment. Between hosts, the difference of their clocks is in it."""
        if attempt.delivered_ms and attempt.cancel_requested_ms:
            waited_ms = attempt.delivered_ms - attempt.cancel_requested_ms
            self._cancel_latency.observe(max(0, waited_ms) / 1000)

    def ended(self, attempt: RunningAttempt, ending: Ending, seconds: float) -> None:
        """The last attempt of a job has ended after so long; an attempt that is retried is none."""
        if status := _final_status(attempt.claimed, ending):
            self._jobs.run_seconds.labels(status).observe(seconds)


def _final_status(claimed: Attempt, ending: Ending) -> str | None:
    match ending:
        case Complete():
            return "succeeded"
        case Cancelled():
            return "cancelled"
        case Fail(retryable=False):
            return "failed"
        case Fail():
            most = int(claimed.field("max_attempts") or MAX_ATTEMPTS_DEFAULT)
            return "dead_letter" if int(claimed.field("attempt") or 1) >= most else None
    return None
