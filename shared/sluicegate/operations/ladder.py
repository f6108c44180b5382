"""The ladder of a task's attempts: what was tried, why it failed, what came next. Read off its events.

One reading for every surface: the command line and the job's page show the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct

from sluicegate.model import Event
from sluicegate.times import from_rfc3339

Outcome = Literal["running", "finished", "failed", "lost", "interrupted", "ended"]
TRIED: Final = {
    "soft_reset": "again, in the same workspace",
    "hard_reset": "again, in a rebuilt workspace",
    "queue_retry": "again, after the queue gave it back",
    "operator": "again, as an operator asked",
}
NEXT: Final = {
    "soft_reset": "soft reset",
    "hard_reset": "hard reset",
    "queue_retry": "back to the queue",
}
OF_THE_LADDER: Final = ("task.step.attempt.", "task.self_heal.", "task.step.failed", "job.")


class Rung(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """One attempt of a step. tried: how it came about. ended: with its attempt of the job, nobody said how.

    why: what went wrong; next: what was done about it. wall_seconds, idle_seconds: its limits.
    """

    job_attempt: int
    step_id: str
    step_index: int
    attempt: int
    tried: str
    started_at: str
    ended_at: str | None = None
    outcome: Outcome = "running"
    failure_class: str | None = None
    why: str | None = None
    next: str | None = None
    wall_seconds: float | None = None
    idle_seconds: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        if self.ended_at is None:
            return None
        return max(0, from_rfc3339(self.ended_at) - from_rfc3339(self.started_at)) / 1000


def matters(kind: str) -> bool:
    """Whether such an event changes the ladder."""
    return kind.startswith(OF_THE_LADDER)


def climb(events: Iterable[Event]) -> list[Rung]:
    """The rungs of a history, oldest first."""
    rungs: list[Rung] = []
    for event in events:
        payload: dict[str, Any] = event.payload or {}
        kind = str(payload.get("kind", ""))
        if kind == "task.step.attempt.started":
            rungs.append(begun(event, payload))
        elif rungs and matters(kind):
            note(rungs[-1], event, kind, payload)
    return rungs


def begun(event: Event, payload: dict[str, Any]) -> Rung:
    """The rung that a `task.step.attempt.started` opens."""
    strategy, limits = payload.get("strategy"), payload.get("limits")
    limits = limits if isinstance(limits, dict) else {}
    return Rung(
        job_attempt=number(payload.get("jobAttempt"), 1),
        step_id=str(payload.get("stepId", "")),
        step_index=number(payload.get("stepIndex"), 0),
        attempt=number(payload.get("attempt"), 1),
        tried=TRIED.get(str(strategy), "first"),
        started_at=event.created_at,
        wall_seconds=_seconds(limits.get("wallSeconds")),
        idle_seconds=_seconds(limits.get("idleSeconds")),
    )


def note(last: Rung, event: Event, kind: str, payload: dict[str, Any]) -> None:
    """What an event that `matters` says of the last rung."""
    match kind.removeprefix("task."):
        case "step.attempt.finished":
            _end(last, event, "finished")
        case "step.attempt.interrupted":
            _end(last, event, "interrupted")
            last.next = "what an operator asked"
        case "step.attempt.failed":
            _end(last, event, "lost" if payload.get("lost") else "failed")
            last.failure_class = _text(payload.get("failureClass"))
            last.why = _text(payload.get("summary")) or event.message
        case "self_heal.triggered" | "self_heal.escalated" | "self_heal.exhausted":
            last.next = NEXT.get(str(payload.get("strategy")))
        case "step.failed" if last.outcome == "failed" and last.next is None:
            last.next = "the job failed"
        case "job.released" if last.outcome == "running":
            _end(last, event, "ended")
            last.why, last.next = "its worker was stopped", NEXT["queue_retry"]
        case "job.cancelled" if last.outcome == "running":
            _end(last, event, "ended")
            last.why = "the job was cancelled"
        case "job.lease_expired" if last.outcome == "running":
            _end(last, event, "lost")
            last.why, last.next = "its worker went away", NEXT["queue_retry"]
        case "job.failed" | "job.dead_lettered" if last.outcome == "running":
            _end(last, event, "ended")
            last.why = _text(payload.get("error"))
        case "job.dead_lettered" if last.next == NEXT["queue_retry"]:
            last.next = "dead letter: the job's attempts are used up"


def _seconds(value: Any) -> float | None:
    return value if isinstance(value, int | float) and 0 < value < 1e9 else None


def number(value: Any, otherwise: int) -> int:
    """A worker may report anything."""
    return value if isinstance(value, int) else otherwise


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _end(rung: Rung, event: Event, outcome: Outcome) -> None:
    """Once: what is told of it later only says more."""
    rung.outcome = outcome
    rung.ended_at = rung.ended_at or event.created_at
