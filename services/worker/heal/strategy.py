"""What comes after a failed attempt of a step, decided from what is known and used: no I/O (70-29)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from services.worker.heal.budgets import Allowed, StepBudget

RETRIED: Final = frozenset({"transient_runtime", "stuck_no_progress"})
"""The classes of failures that another attempt may help (H-3)."""


class Move(NamedTuple):
    """strategy: how it goes on; None ends the job for good. why: in words, for people."""

    strategy: Literal["soft_reset", "hard_reset", "queue_retry"] | None
    why: str


def is_stuck(budget: StepBudget, allowed: Allowed) -> bool:
    """Whether its last attempts got nowhere: the same failure and the same changes, so many times (H-1)."""
    return budget.in_a_row >= allowed.no_progress


def next_move(failure_class: str, budget: StepBudget, allowed: Allowed, hard_resets: int) -> Move:
    """After an attempt that failed with this class. hard_resets: those that the job has had."""
    if failure_class not in RETRIED:
        return Move(None, f"a failure of the class {failure_class} comes again")
    if budget.used >= allowed.attempts:
        return Move("queue_retry", used_up(allowed))
    if failure_class != "stuck_no_progress":
        return Move("soft_reset", f"attempt {budget.used + 1} of {allowed.attempts} in the same workspace")
    if hard_resets < allowed.hard_resets:
        return Move("hard_reset", f"attempt {budget.used + 1} of {allowed.attempts} in a rebuilt workspace")
    return Move("queue_retry", "no progress, and no hard reset is left")


def used_up(allowed: Allowed) -> str:
    number = allowed.attempts
    return "its one attempt is used up" if number == 1 else f"its {number} attempts are used up"
