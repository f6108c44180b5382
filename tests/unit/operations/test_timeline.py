"""The timeline of a job as it is read off its events: attempts, their stages and steps, each try of them."""

from __future__ import annotations

import pytest

from sluicegate.operations.timeline import MOST_ATTEMPTS, MOST_RUNGS, Attempt, Timeline, matters
from tests.unit.operations.test_ladder import STEP, Told

RELEASED = "back to the queue, no attempt used"
DEAD = "dead letter: the job's attempts are used up"
SOON = "2026-01-31T12:00:00.000Z"


def begun(attempt: int = 1) -> Told:
    told = Told().tell("job.claimed", attempt=attempt, workerId="w-1")
    return told.tell("task.stage.started", stage="execute").tell(
        "task.step.started", **STEP, title="Build it"
    )


def read(told: Told) -> Timeline:
    return Timeline().take_all(told.events)


def only(told: Told) -> Attempt:
    (attempt,) = read(told).attempts
    return attempt


def test_what_runs_now() -> None:
    told = begun().begun(1, limits={"wallSeconds": 900, "idleSeconds": 300.0})
    timeline = read(told)
    assert timeline.stage and timeline.stage.name == "execute"
    step = timeline.step
    assert step and (step.id, step.index, step.title, step.seconds) == ("build", 1, "Build it", None)
    (rung,) = step.rungs
    assert (rung.wall_seconds, rung.idle_seconds) == (900, 300.0)


def test_a_step_that_heals() -> None:
    """70-29: the tries stand under their step, with what came next."""
    told = begun().begun(1).failed("transient_runtime", "boom")
    told.tell("task.self_heal.triggered", **STEP, strategy="soft_reset").begun(2, "soft_reset")
    told.tell("task.step.attempt.finished", **STEP).tell("task.step.finished", **STEP)
    told.tell("task.stage.finished", stage="execute").tell("job.succeeded")
    attempt = only(told)
    assert (attempt.outcome, attempt.worker_id, attempt.seconds) == ("succeeded", "w-1", 10.0)
    assert [(stage.name, stage.outcome) for stage in attempt.stages] == [("execute", "finished")]
    (step,) = attempt.steps
    assert (step.outcome, step.seconds) == ("finished", 6.0)
    assert [(rung.outcome, rung.why, rung.next) for rung in step.rungs] == [
        ("failed", "boom", "soft reset"),
        ("finished", None, None),
    ]


@pytest.mark.parametrize(
    ("end", "about", "outcome", "why", "then", "parts"),
    [
        ("job.released", {"reason": "stopping"}, "released", "stopping", RELEASED, "ended"),
        ("job.lease_expired", {}, "lost", "its worker did not renew its lease", None, "ended"),
        ("job.cancelled", {"cancelRequestedByUserId": "ann"}, "cancelled", "by ann", None, "ended"),
        ("job.failed", {"error": "401"}, "failed", "401", None, "failed"),
        ("job.retry_scheduled", {"error": "x", "nextAttemptAt": SOON}, "failed", "x", "again", "failed"),
        ("job.dead_lettered", {"error": "x"}, "failed", "x", DEAD, "failed"),
    ],
)
def test_how_an_attempt_ends(
    end: str, about: dict[str, str], outcome: str, why: str, then: str | None, parts: str
) -> None:
    """What ran in it ends with it."""
    attempt = only(begun().begun(1).tell(end, **about))
    assert (attempt.outcome, attempt.why, attempt.next) == (outcome, why, then)
    assert attempt.next_at == about.get("nextAttemptAt")
    (stage,), (step,) = attempt.stages, attempt.steps
    assert (stage.outcome, step.outcome) == (parts, parts)
    assert step.rungs[0].outcome != "running"


def test_what_comes_after_an_end_only_says_more() -> None:
    told = begun().tell("job.lease_expired").tell("job.retry_scheduled", error="lease_expired")
    attempt = only(told)
    assert (attempt.outcome, attempt.why, attempt.next) == (
        "lost",
        "its worker did not renew its lease",
        "again",
    )
    assert only(told.tell("job.redriven", actorUserId="ann")).next == "redriven by ann"


def test_an_attempt_that_was_lost_is_told_of_in_the_next() -> None:
    told = begun().begun(1).tell("job.lease_expired").tell("job.claimed", attempt=2, workerId="w-2")
    told.tell("task.steps.plan", finished=1)
    told.failed("transient_runtime", "lost with its worker", lost=True)
    lost, now = read(told).attempts
    assert lost.steps[0].rungs[0].why == "lost with its worker"
    assert (now.number, now.worker_id, now.done_before, now.steps) == (2, "w-2", 1, [])


def test_a_run_that_is_held() -> None:
    told = begun().tell("task.paused", reason="operator", hard=True)
    (hold,) = read(told).holds.values()
    assert hold.hard
    assert read(told.tell("task.resumed", reason="operator", hard=True)).holds == {}
    assert read(told.tell("task.paused", reason="worker_pause").tell("job.released")).holds == {}


def test_a_long_history_stays_small() -> None:
    """What is too much is left out from its beginning, and counted."""
    told = Told()
    for number in range(MOST_ATTEMPTS + 5):
        told.tell("job.claimed", attempt=number)
    timeline = read(told)
    assert (len(timeline.attempts), timeline.left_out) == (MOST_ATTEMPTS, 5)
    for number in range(MOST_RUNGS + 5):
        told.begun(number)
    step = read(told).attempts[-1].steps[-1]
    assert (len(step.rungs), step.left_out, step.rungs[-1].attempt) == (MOST_RUNGS, 5, MOST_RUNGS + 4)


def test_odd_events_break_nothing() -> None:
    """Workers may report anything."""
    told = Told()
    for kind in ("task.step.finished", "task.stage.finished", "job.succeeded", "task.paused"):
        told.tell(kind)
    assert read(told).attempts == []
    told.tell("job.claimed", attempt="x", workerId=None)
    for kind in ("task.step.finished", "task.stage.finished", "task.self_heal.triggered", "task.resumed"):
        told.tell(kind, stage=7, stepIndex="x")
    told.tell("task.step.attempt.started", limits=[], stepIndex=None, attempt={})
    for number in range(5):
        told.tell("task.paused", reason=f"r{number}")
    timeline = read(told)
    assert timeline.step and len(timeline.holds) == 2


def test_what_of_a_history_matters() -> None:
    assert matters("task.stage.started") and matters("task.steps.plan") and matters("job.claimed")
    assert not matters("log") and not matters("task.operator.message")
