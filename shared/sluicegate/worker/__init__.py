"""The worker SDK: write a handler, register it with a Worker, run it.

The claim loop, heartbeats, batching, process control and transports are here, in the library, so that
anyone's worker stands on the same engine as the one in `services/worker`.
"""

from sluicegate.worker.context import Handler, JobContext
from sluicegate.worker.outcome import JobCancelled, JobFailed, JobReleased
from sluicegate.worker.worker import Worker

__all__ = ["Handler", "JobCancelled", "JobContext", "JobFailed", "JobReleased", "Worker"]
