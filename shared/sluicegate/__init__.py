"""Sluicegate: a job queue for long-running agent tasks, on Redis Streams.

Producers and worker authors import from here only:

    from sluicegate import Client, Worker, JobContext, NewJob
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from sluicegate.client import Client
    from sluicegate.errors import SluicegateError
    from sluicegate.model import Event, Job, NewJob
    from sluicegate.worker import JobContext, Worker

_WHERE = {
    "Client": "sluicegate.client",
    "Event": "sluicegate.model",
    "Job": "sluicegate.model",
    "JobContext": "sluicegate.worker",
    "NewJob": "sluicegate.model",
    "SluicegateError": "sluicegate.errors",
    "Worker": "sluicegate.worker",
}
__all__ = ["Client", "Event", "Job", "JobContext", "NewJob", "SluicegateError", "Worker", "__version__"]


def __getattr__(name: str) -> Any:
    """Import on first use: a producer never pays for the worker, nor a worker for the HTTP client."""
    if name in _WHERE:
        from importlib import import_module

        found = getattr(import_module(_WHERE[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        found = version("sluicegate")  # reads and parses a file: once
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, found)
