"""The command-line agents that a step can be a run of, as data."""

from services.worker.runtimes.catalogue import RUNTIMES, Runtime

__all__ = ["RUNTIMES", "Runtime"]
