"""How an attempt ends, as a value: decided here without I/O, written elsewhere.

A handler returns its result summary, or raises one of these:

    JobFailed      the attempt failed; `retryable` and `failure_class` say what the queue does next
    JobCancelled   an operator asked for the end; everything the attempt started is gone (let it through)
    JobReleased    the worker shuts down: the job goes back unharmed, no attempt used (let it through)
"""

from __future__ import annotations

from typing import Any


class JobFailed(Exception):
    """The attempt failed. retryable=False ends the job `failed`, whatever attempts are left."""

    def __init__(self, message: str, *, retryable: bool = True, failure_class: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        self.failure_class = failure_class


class JobCancelled(Exception):
    """Cancelled at the operator's request. receipt: if not that of what `run` had started (C-12)."""

    def __init__(self, receipt: dict[str, Any] | None = None) -> None:
        super().__init__("cancelled")
        self.receipt = receipt


class JobReleased(Exception):
    """The worker is stopping: hand the attempt back, to be resumed elsewhere (Q-14)."""
