"""What a step may use up, and what of it is used: kept with the job, so that it outlives its worker (H-2)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeVar

from msgspec import Struct, structs

from sluicegate.operations.task_payload import Limits
from sluicegate.settings import WorkerSettings

STEP_BUDGET: Final = "step_budget"
HARD_RESETS: Final = "hard_resets"
"""Facts of the job. A redrive drops the first; the second stays for the job's life."""
NOT_BY_OUR_WORD: Final = frozenset({"lease_expired", "released_too_often"})
"""Failures of an attempt of the job that its worker did not report."""

Strategy = Literal["soft_reset", "hard_reset", "queue_retry", "operator"]
"""How an attempt comes after another one (70-51)."""
Number = TypeVar("Number", int, float)


class Allowed(NamedTuple):
    """The task's own limits, else those of the settings (70-32)."""

    attempts: int
    wall_seconds: float
    idle_seconds: float
    no_progress: int
    hard_resets: int

    @classmethod
    def of(cls, task: Limits, settings: WorkerSettings) -> Allowed:
        return cls(
            attempts=_first(task.step_attempts, settings.step_max_attempts),
            wall_seconds=_first(task.step_wall_seconds, settings.step_timeout_seconds),
            idle_seconds=_first(task.step_idle_seconds, settings.step_idle_timeout_seconds),
            no_progress=_first(task.no_progress_limit, settings.step_no_progress_limit),
            hard_resets=_first(task.hard_resets, settings.job_max_hard_resets),
        )


class Failure(Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt failed, as far as the next one, and people, are told. Redacted.

    summary: one paragraph. changed_files: the first of them. diff_hash: None when the changes are not known.
    """

    attempt: int
    failure_class: str
    summary: str
    signature: str | None = None
    diff_hash: str | None = None
    changed_files: list[str] = []

    def is_like(self, other: Failure | None) -> bool:
        """The same failure with the same changes: nothing was gained between the two."""
        if other is None or self.signature is None:
            return False
        return (self.signature, self.diff_hash) == (other.signature, other.diff_hash)


class Begun(Struct, rename="camel", frozen=True, kw_only=True):
    """An attempt of which only the beginning is known: it runs, or its worker is gone."""

    token: int
    worker_id: str
    started_at: str
    job_attempt: int


class StepBudget(Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """What the step at hand has used. Stored before an attempt begins, and again when it has failed.

    begun: the number of its last attempt. used: those that count; what people interrupt does not.
    in_a_row: the last attempts that failed alike. exhausted_in: attempt of the job that used it up.
    """

    step_id: str
    step_index: int
    begun: int = 0
    used: int = 0
    in_a_row: int = 0
    last: Failure | None = None
    running: Begun | None = None
    exhausted_in: int | None = None

    def begin(self, attempt: Begun) -> StepBudget:
        return structs.replace(self, begun=self.begun + 1, used=self.used + 1, running=attempt)

    def handed_back(self) -> StepBudget:
        """The attempt that runs did not fail: it was ended by people, or by the end of its worker."""
        return structs.replace(self, used=self.used - 1, running=None)

    def failed(self, failure: Failure) -> StepBudget:
        in_a_row = self.in_a_row + 1 if failure.is_like(self.last) else 1
        return structs.replace(self, last=failure, in_a_row=in_a_row, running=None)

    def used_up(self, job_attempt: int) -> StepBudget:
        return structs.replace(self, exhausted_in=job_attempt)

    def for_next_claim(self, job_attempt: int, failure_class: str | None) -> StepBudget:
        """Afresh if the job comes back because this was used up; else what was left of it (H-2)."""
        if self.exhausted_in is None or job_attempt <= self.exhausted_in:
            return self
        if failure_class in NOT_BY_OUR_WORD:
            return self
        return StepBudget(step_id=self.step_id, step_index=self.step_index, last=self.last)


def _first(own: Number | None, else_: Number) -> Number:
    return else_ if own is None else own
