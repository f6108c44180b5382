"""The programs that a step can be a run of, as data."""

from services.worker.runtimes.catalogue import RUNTIMES
from services.worker.runtimes.runtime import Runtime

__all__ = ["RUNTIMES", "Runtime"]
