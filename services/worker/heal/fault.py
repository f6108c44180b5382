"""What was wrong with a command of a step: a sentence, a class, and what its signature is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.worker.heal.budgets import Allowed
from services.worker.heal.classify import classify
from services.worker.heal.watch import Limit
from services.worker.runtimes import Runtime
from services.worker.runtimes.output import Reading
from sluicegate.failure_rules import FailureRule
from sluicegate.worker.process import CommandResult


class Fault(NamedTuple):
    """said: the output that tells of it, redacted; cause: how it ended. Together they make the signature."""

    failure_class: str
    message: str
    cause: str
    said: bytes | str = b""


def over_limit(limit: Limit, said: bytes, runtime: Runtime, allowed: Allowed) -> Fault:
    """said: what it had put out when it was stopped; what it says to the signal tells nothing."""
    reading = runtime.read(said)
    sentence = {
        "wall": f"ran longer than {allowed.wall_seconds:g} s",
        "idle": f"gave no sign of life for {allowed.idle_seconds:g} s",
    }[limit]
    words = reading.failure or reading.words
    sentence = f"{sentence}; its last words: {words}" if words else sentence
    return Fault("transient_runtime", sentence, limit, reading.report)


def of_command(
    result: CommandResult, reading: Reading, own_rules: Sequence[FailureRule], runtime: Runtime
) -> Fault | None:
    """None when it succeeded. It failed when it says so, whatever its exit code."""
    if result.exit_code == 0 and reading.failure is None:
        return None
    how = f"exit code {result.exit_code}" if result.signal is None else f"ended by signal {result.signal}"
    meant = classify(
        reading.report, (*own_rules, *runtime.rules), exit_code=result.exit_code, signal=result.signal
    )
    words = reading.failure or reading.words
    return Fault(meant.failure_class, f"{how}: {words}" if words else how, how, reading.report)
