"""The ladder of attempts as it is read off a job's events: what was tried, why it failed, what came next."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.model import Event
from sluicegate.operations.ladder import Rung, climb, matters
from sluicegate.times import to_rfc3339

STEP = {"stepId": "build", "stepIndex": 1, "jobAttempt": 1}


class Told:
    """A history that is told one event a second."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, kind: str, message: str = "said", **payload: Any) -> Told:
        number = len(self.events)
        self.events.append(
            Event(
                id=f"{number + 1}-0", job_id="j", level="info", message=message,
                payload={"kind": kind, **payload}, created_at=to_rfc3339(1_000_000 + number * 1000),
            )
        )  # fmt: skip
        return self

    def begun(self, attempt: int, strategy: str | None = None, **more: Any) -> Told:
        return self.tell(
            "task.step.attempt.started", **{**STEP, "attempt": attempt, "strategy": strategy} | more
        )

    def failed(self, failure_class: str, summary: str, **more: Any) -> Told:
        return self.tell(
            "task.step.attempt.failed", **STEP, failureClass=failure_class, summary=summary, **more
        )


def shown(told: Told) -> list[tuple[str, str, str | None, str | None]]:
    return [(rung.tried, rung.outcome, rung.why, rung.next) for rung in climb(told.events)]


def test_the_whole_ladder() -> None:
    """70-29."""
    told = Told().begun(1).tell("log", text="x").failed("transient_runtime", "boom")
    told.tell("task.self_heal.triggered", **STEP, strategy="soft_reset").begun(2, "soft_reset")
    told.failed("stuck_no_progress", "boom").tell("task.self_heal.escalated", **STEP, strategy="hard_reset")
    told.begun(3, "hard_reset").failed("stuck_no_progress", "boom")
    told.tell("task.self_heal.exhausted", **STEP, strategy="queue_retry").tell("task.step.failed", **STEP)
    told.tell("job.retry_scheduled").tell("job.claimed").begun(1, "queue_retry", jobAttempt=2)
    told.tell("task.step.attempt.finished", **STEP)
    assert shown(told) == [
        ("first", "failed", "boom", "soft reset"),
        ("again, in the same workspace", "failed", "boom", "hard reset"),
        ("again, in a rebuilt workspace", "failed", "boom", "back to the queue"),
        ("again, after the queue gave it back", "finished", None, None),
    ]
    first, *_, last = climb(told.events)
    assert (first.step_id, first.step_index, first.attempt, first.job_attempt) == ("build", 1, 1, 1)
    assert (first.failure_class, first.seconds, last.job_attempt) == ("transient_runtime", 2.0, 2)


@pytest.mark.parametrize(
    ("end", "outcome", "why", "then"),
    [
        (("job.released", {}), "ended", "its worker was stopped", "back to the queue"),
        (("job.cancelled", {}), "ended", "the job was cancelled", None),
        (("job.lease_expired", {}), "lost", "its worker went away", "back to the queue"),
        (
            ("job.failed", {"error": "ran longer than maxRunSeconds"}),
            "ended",
            "ran longer than maxRunSeconds",
            None,
        ),
        (("task.step.attempt.interrupted", {}), "interrupted", None, "what an operator asked"),
        (("task.step.failed", {}), "running", None, None),
    ],
)
def test_what_ends_an_attempt_without_its_word(
    end: tuple[str, dict[str, Any]], outcome: str, why: str | None, then: str | None
) -> None:
    told = Told().begun(1).tell(end[0], **end[1])
    assert shown(told) == [("first", outcome, why, then)]


def test_a_lost_attempt_is_told_by_the_next_claim() -> None:
    """H-11: it has ended when its lease did, not when that was told."""
    told = Told().begun(1).tell("job.lease_expired").tell("job.claimed")
    told.failed("transient_runtime", "attempt 1 was lost with its worker w", lost=True)
    (rung,) = climb(told.events)
    assert (rung.outcome, rung.why, rung.seconds) == ("lost", "attempt 1 was lost with its worker w", 1.0)


def test_a_failure_that_comes_again_ends_the_job() -> None:
    """H-3."""
    told = (
        Told()
        .begun(1)
        .failed("deterministic_policy", "401")
        .tell("task.step.failed", **STEP)
        .tell("job.failed")
    )
    assert shown(told) == [("first", "failed", "401", "the job failed")]


def test_the_last_exhaustion_leads_to_the_dead_letters() -> None:
    told = Told().begun(1).failed("stuck_no_progress", "boom")
    told.tell("task.self_heal.exhausted", **STEP, strategy="queue_retry").tell("job.dead_lettered")
    assert shown(told)[0][3] == "dead letter: the job's attempts are used up"


def test_an_attempt_that_runs_has_no_end_yet() -> None:
    (rung,) = climb(Told().begun(1).events)
    assert (rung.outcome, rung.seconds, rung.next) == ("running", None, None)


@pytest.mark.parametrize("payload", [None, {}, {"kind": 7}, {"kind": "task.step.attempt.failed"}])
def test_odd_events_break_nothing(payload: dict[str, Any] | None) -> None:
    """Workers may report anything."""
    event = Event(id="1-0", job_id="j", level="info", message="m", payload=payload, created_at=to_rfc3339(1))
    assert climb([event]) == []
    assert isinstance(climb([*Told().begun(1).events, event])[0], Rung)


def test_a_beginning_that_is_odd_has_the_usual_numbers() -> None:
    (rung,) = climb(
        Told().tell("task.step.attempt.started", attempt="x", stepIndex=[], jobAttempt=None).events
    )
    assert (rung.attempt, rung.step_index, rung.job_attempt) == (1, 0, 1)


def test_what_of_a_history_matters() -> None:
    assert matters("task.self_heal.triggered") and matters("job.cancelled")
    assert not matters("log") and not matters("task.stage.started")
