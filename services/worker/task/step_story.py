"""What is told of one step: its events, and a record of each attempt that another one followed (H-11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.worker.heal.budgets import Allowed, Begun, Failure, StepBudget, Strategy
from services.worker.heal.strategy import Move
from services.worker.task.checkpoints import Diff
from services.worker.task.run import TaskRun, step_name
from sluicegate.times import now_ms, to_rfc3339

if TYPE_CHECKING:
    from sluicegate.worker.outcome import JobFailed

NAMED_FILES: Final = 20
NAMED_LENGTH: Final = 200
"""Changed files whose names are told of a finished step, and characters of each: an event has its limit."""


class StepStory:
    """Of the step at `index`. Each event has the number of the step's attempt that it is about (70-28)."""

    def __init__(self, run: TaskRun, index: int) -> None:
        self._run = run
        self.index = index
        self.step = run.task.task.steps[index]
        self.name = step_name(self.step, index)

    async def started(self, attempt: int) -> None:
        await self._tell("task.step.started", f"Started {self.name}", attempt, title=self.step.title)

    async def resumed(self, words: str, attempt: int, how: Strategy | None) -> None:
        """words: what comes before the step's name."""
        await self._tell("task.resume.from_step", f"{words} {self.name}", attempt, strategy=how)

    async def attempt_started(self, attempt: int, how: Strategy | None, allowed: Allowed) -> None:
        sentence = self._attempt(attempt) + (f" ({how.replace('_', ' ')})" if how else "")
        limits = {"wallSeconds": allowed.wall_seconds, "idleSeconds": allowed.idle_seconds}
        await self._tell("task.step.attempt.started", sentence, attempt, strategy=how, limits=limits)

    async def attempt_finished(self, attempt: int, how: Strategy | None, diff: Diff, summary: str) -> None:
        self._note(attempt, f"finished: {summary}")
        await self._tell(
            "task.step.attempt.finished",
            f"{self._attempt(attempt)}: {summary}",
            attempt,
            diffHash=diff.diff_hash,
            strategy=how,
        )

    async def attempt_interrupted(self, attempt: int, how: Strategy | None) -> None:
        sentence = f"{self._attempt(attempt)} was interrupted by an operator"
        await self._tell("task.step.attempt.interrupted", sentence, attempt, strategy=how)

    async def attempt_failed(
        self, failure: Failure, how: Strategy | None, message: str | None = None, **more: Any
    ) -> None:
        """message: in full, where the failure's own summary is shortened."""
        self._note(failure.attempt, f"failed: {failure.summary}")
        await self._tell(
            "task.step.attempt.failed",
            f"{self._attempt(failure.attempt)} failed: {message or failure.summary}",
            failure.attempt,
            level="warn",
            **_facts_of(failure),
            strategy=how,
            summary=failure.summary,
            **more,
        )

    async def move(self, attempt: int, last: Failure | None, move: Move) -> None:
        """What is done about the last failure."""
        kind, sentence = {
            "soft_reset": ("triggered", f"{self.name} is tried again: {move.why}"),
            "hard_reset": ("escalated", f"{self.name} gets nowhere: {move.why}"),
            "queue_retry": ("exhausted", f"{self.name} is given back to the queue: {move.why}"),
        }[str(move.strategy)]
        level = "error" if kind == "exhausted" else "warn"
        await self._tell(
            f"task.self_heal.{kind}",
            sentence,
            attempt,
            level=level,
            **_facts_of(last),
            strategy=move.strategy,
        )

    async def failed(self, attempt: int, error: JobFailed, last: Failure | None) -> None:
        await self._tell(
            "task.step.failed",
            f"{self.name} failed: {error.message}",
            attempt,
            level="error",
            **{**_facts_of(last), "failureClass": error.failure_class},
        )

    async def finished(self, attempt: int, how: Strategy | None, diff: Diff, summary: str) -> None:
        await self._tell(
            "task.step.finished",
            f"Finished {self.name}: {summary}",
            attempt,
            diffHash=diff.diff_hash,
            strategy=how,
            changedFiles=len(diff.changes),
            files=[file[:NAMED_LENGTH] for file in diff.names[:NAMED_FILES]],
        )

    async def record(
        self,
        failure: Failure,
        begun: Begun,
        how: Strategy | None,
        move: Move,
        *,
        budget: StepBudget,
        hard_resets: int,
        allowed: Allowed,
    ) -> None:
        """The attempt and what was done about it, as an artifact (70-28). hard_resets: of the job so far."""
        record = {
            "stepId": self.step.id,
            "stepIndex": self.index,
            **msgspec.to_builtins(failure),
            **msgspec.to_builtins(begun),
            "strategy": how,
            "finishedAt": to_rfc3339(now_ms()),
            "next": {"strategy": move.strategy, "why": move.why},
            "used": {"stepAttempts": budget.used, "hardResets": hard_resets},
            "allowed": {"stepAttempts": allowed.attempts, "hardResets": allowed.hard_resets},
        }
        name = f"state/self_heal/attempt-{self.index + 1}-{begun.token}-{failure.attempt}.json"
        text = msgspec.json.format(msgspec.json.encode(record), indent=2)
        await self._run.store(name, text, content_type="application/json")

    def _attempt(self, number: int) -> str:
        return f"{self.name}, attempt {number}"

    def _note(self, attempt: int, words: str) -> None:
        self._run.note("execute", f"{self._attempt(attempt)} {words}")

    async def _tell(self, kind: str, message: str, attempt: int, **payload: Any) -> None:
        """What is None is left out."""
        known = {name: value for name, value in payload.items() if value is not None}
        await self._run.step_event(kind, message, self.index, attempt=attempt, **known)


def _facts_of(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {}
    return {
        "failureClass": failure.failure_class,
        "failureSignature": failure.signature,
        "diffHash": failure.diff_hash,
    }
