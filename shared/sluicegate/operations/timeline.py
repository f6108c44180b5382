"""What became of a job, attempt by attempt: its stages, its steps and each try of them. Read off its events.

The rungs of the steps are the ladder's; here they stand where they belong in time. Bounded, however long a
history is: of what a timeline has too much, the oldest goes and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct, field

from sluicegate.model import Event
from sluicegate.operations import ladder
from sluicegate.operations.ladder import Rung
from sluicegate.times import from_rfc3339

MOST_ATTEMPTS: Final = 50
MOST_STEPS: Final = 200
"""Of one attempt; a task has at most 100, and a person may send it back to any of them."""
MOST_RUNGS: Final = 50
MOST_STAGES: Final = 20
CUT: Final = 500
"""Characters of what went wrong."""

End = Literal["running", "finished", "failed", "ended"]
"""ended: with its attempt of the job, nobody said how."""
AttemptEnd = Literal["running", "succeeded", "failed", "lost", "released", "cancelled"]
ENDS: Final[dict[str, End]] = {
    "released": "ended",
    "cancelled": "ended",
    "lost": "ended",
    "succeeded": "finished",
}
"""How its stages and steps end with an attempt that ends so; else they have failed with it."""
OF_THE_TIMELINE: Final = (*ladder.OF_THE_LADDER, "task.stage.", "task.step", "task.paused", "task.resumed")


class Span(Struct, kw_only=True):
    """Something that began, and may have ended. why: what went wrong."""

    started_at: str
    ended_at: str | None = None
    why: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        if self.ended_at is None:
            return None
        return max(0, from_rfc3339(self.ended_at) - from_rfc3339(self.started_at)) / 1000


class Stage(Span, kw_only=True):
    name: str
    outcome: End = "running"


class Step(Span, kw_only=True):
    """index: from 0. rungs: its tries in this attempt of the job, oldest first; left_out: older ones."""

    id: str
    index: int
    title: str | None = None
    outcome: End = "running"
    rungs: list[Rung] = field(default_factory=list[Rung])
    left_out: int = 0


class Attempt(Span, kw_only=True):
    """One claim of the job. next: what came of it; next_at: when. done_before: steps finished earlier."""

    number: int
    worker_id: str
    outcome: AttemptEnd = "running"
    next: str | None = None
    next_at: str | None = None
    done_before: int = 0
    stages: list[Stage] = field(default_factory=list[Stage])
    steps: list[Step] = field(default_factory=list[Step])
    left_out: int = 0


class Hold(Struct, frozen=True):
    """What it waits for. reason: worker_pause or operator."""

    reason: str
    since: str
    hard: bool


class Timeline:
    """Give it the events in order, each once."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.left_out = 0
        self.holds: dict[str, Hold] = {}

    @property
    def attempt(self) -> Attempt | None:
        """The last one."""
        return self.attempts[-1] if self.attempts else None

    @property
    def stage(self) -> Stage | None:
        """The one that runs."""
        return next((each for each in _last(self.attempt, "stages") if each.outcome == "running"), None)

    @property
    def step(self) -> Step | None:
        """The one that runs."""
        return next((each for each in _last(self.attempt, "steps") if each.outcome == "running"), None)

    def take(self, event: Event) -> None:
        payload: dict[str, Any] = event.payload or {}
        kind = str(payload.get("kind", ""))
        if not matters(kind):
            return
        if kind == "job.claimed":
            self._claimed(event, payload)
        elif (attempt := self.attempt) is None:
            return
        elif kind.startswith("job."):
            self._note_rung(attempt, event, kind, payload)
            self._of_job(attempt, event, kind, payload)
        elif kind.startswith("task.stage."):
            _of_stage(attempt, event, kind, payload)
        elif kind == "task.paused":
            reason, hard = str(payload.get("reason", ""))[:100], payload.get("hard") is True
            self.holds[reason] = Hold(reason, event.created_at, hard)
            while len(self.holds) > 2:
                del self.holds[next(iter(self.holds))]
        elif kind == "task.resumed":
            self.holds.pop(str(payload.get("reason", ""))[:100], None)
        elif kind == "task.steps.plan":
            attempt.done_before = ladder.number(payload.get("finished"), 0)
        else:
            self._of_step(attempt, event, kind, payload)

    def take_all(self, events: Iterable[Event]) -> Timeline:
        for event in events:
            self.take(event)
        return self

    def _claimed(self, event: Event, payload: dict[str, Any]) -> None:
        self.holds.clear()
        self.attempts.append(
            Attempt(
                number=ladder.number(payload.get("attempt"), 1),
                worker_id=str(payload.get("workerId", "")),
                started_at=event.created_at,
            )
        )
        self.left_out += _shorten(self.attempts, MOST_ATTEMPTS)

    def _of_job(self, last: Attempt, event: Event, kind: str, payload: dict[str, Any]) -> None:
        text = _text(payload.get("error"))
        match kind:
            case "job.succeeded":
                self._end(last, event, "succeeded")
            case "job.failed":
                self._end(last, event, "failed", text)
            case "job.released":
                self._end(last, event, "released", _text(payload.get("reason")))
                last.next = "back to the queue, no attempt used"
            case "job.lease_expired":
                self._end(last, event, "lost", "its worker did not renew its lease")
            case "job.retry_scheduled":
                self._end(last, event, "failed", text)
                last.next, last.next_at = "again", _text(payload.get("nextAttemptAt"))
            case "job.dead_lettered":
                self._end(last, event, "failed", text)
                last.next = "dead letter: the job's attempts are used up"
            case "job.cancelled":
                who = payload.get("cancelRequestedByUserId")
                self._end(last, event, "cancelled", f"by {who}" if who else None)
            case "job.redriven":
                last.next = f"redriven by {payload.get('actorUserId', '')}"

    def _end(self, last: Attempt, event: Event, outcome: AttemptEnd, why: str | None = None) -> None:
        """Once: what is told of it later only says more."""
        if last.outcome != "running":
            return
        last.outcome, last.ended_at, last.why = outcome, event.created_at, why
        part = ENDS.get(outcome, "failed")
        _end_all(last.stages, event, part)
        _end_all(last.steps, event, part)
        for step in last.steps:
            _end_all(step.rungs, event, "ended")
        self.holds.clear()

    def _of_step(self, attempt: Attempt, event: Event, kind: str, payload: dict[str, Any]) -> None:
        if kind == "task.step.started":
            _end_all(attempt.steps, event, "ended")
            attempt.steps.append(
                Step(
                    id=str(payload.get("stepId", "")),
                    index=ladder.number(payload.get("stepIndex"), 0),
                    title=_text(payload.get("title")),
                    started_at=event.created_at,
                )
            )
            attempt.left_out += _shorten(attempt.steps, MOST_STEPS)
        elif kind == "task.step.attempt.started":
            step = _step_of(attempt, event, payload)
            step.rungs.append(ladder.begun(event, payload))
            step.left_out += _shorten(step.rungs, MOST_RUNGS)
        else:
            self._note_rung(attempt, event, kind, payload)
            if attempt.steps and kind in ("task.step.finished", "task.step.failed"):
                last = attempt.steps[-1]
                last.outcome = "finished" if kind.endswith("finished") else "failed"
                last.ended_at = event.created_at

    def _note_rung(self, attempt: Attempt, event: Event, kind: str, payload: dict[str, Any]) -> None:
        """An attempt that was lost with its worker is told of in the next one of the job."""
        for each in (attempt, *self.attempts[-2:-1]):
            rungs = next((step.rungs for step in reversed(each.steps) if step.rungs), None)
            if rungs:
                if ladder.matters(kind):
                    ladder.note(rungs[-1], event, kind, payload)
                return


def matters(kind: str) -> bool:
    """Whether such an event changes a timeline."""
    return kind.startswith(OF_THE_TIMELINE)


def _of_stage(attempt: Attempt, event: Event, kind: str, payload: dict[str, Any]) -> None:
    name = str(payload.get("stage", ""))
    if kind == "task.stage.started":
        attempt.stages.append(Stage(name=name, started_at=event.created_at))
        _shorten(attempt.stages, MOST_STAGES)
        return
    for stage in reversed(attempt.stages):
        if stage.name == name and stage.outcome == "running":
            stage.outcome = "failed" if kind == "task.stage.failed" else "finished"
            stage.ended_at = event.created_at
            if stage.outcome == "failed":
                stage.why = event.message[:CUT]
            return


def _step_of(attempt: Attempt, event: Event, payload: dict[str, Any]) -> Step:
    """The step that an attempt of one belongs to, opened if nobody has."""
    index = ladder.number(payload.get("stepIndex"), 0)
    if not attempt.steps or attempt.steps[-1].index != index:
        step = Step(id=str(payload.get("stepId", "")), index=index, started_at=event.created_at)
        attempt.steps.append(step)
        attempt.left_out += _shorten(attempt.steps, MOST_STEPS)
    return attempt.steps[-1]


def _end_all(parts: Iterable[Stage | Step | Rung], event: Event, outcome: End) -> None:
    for each in parts:
        if each.outcome == "running":
            each.outcome, each.ended_at = outcome, event.created_at


def _last(attempt: Attempt | None, parts: str) -> list[Any]:
    return [] if attempt is None else getattr(attempt, parts)[::-1]


def _shorten(items: list[Any], most: int) -> int:
    """Drop the oldest beyond so many; how many those were."""
    over = max(0, len(items) - most)
    del items[:over]
    return over


def _text(value: Any) -> str | None:
    return value[:CUT] if isinstance(value, str) and value else None
