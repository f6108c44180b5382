"""What comes after a failed attempt, as a table: the class, what is used, and whether anything was gained."""

from __future__ import annotations

import pytest

from services.worker.heal.budgets import Allowed, Begun, Failure, StepBudget
from services.worker.heal.strategy import is_stuck, next_move
from sluicegate.operations.task_payload import Limits
from sluicegate.settings import WorkerSettings

ALLOWED = Allowed(attempts=3, wall_seconds=900, idle_seconds=300, no_progress=2, hard_resets=1)
ATTEMPT = Begun(token=1, worker_id="w", started_at="then", job_attempt=1)


def failure(signature: str | None = "a", diff_hash: str | None = "d", **more: str) -> Failure:
    return Failure(
        attempt=1,
        failure_class="transient_runtime",
        summary="s",
        signature=signature,
        diff_hash=diff_hash,
        **more,
    )


def after(*failures: Failure) -> StepBudget:
    budget = StepBudget(step_id="step-1", step_index=0)
    for each in failures:
        budget = budget.begin(ATTEMPT).failed(each)
    return budget


@pytest.mark.parametrize(
    ("failure_class", "used", "hard_resets", "strategy"),
    [
        ("transient_runtime", 1, 0, "soft_reset"),
        ("transient_runtime", 2, 0, "soft_reset"),
        ("transient_runtime", 3, 0, "queue_retry"),
        ("stuck_no_progress", 2, 0, "hard_reset"),
        ("stuck_no_progress", 2, 1, "queue_retry"),
        ("stuck_no_progress", 3, 0, "queue_retry"),
        ("deterministic_contract", 1, 0, None),
        ("deterministic_policy", 1, 0, None),
        ("deterministic_repo", 3, 1, None),
        ("run_timeout", 1, 0, None),
    ],
)
def test_the_table(failure_class: str, used: int, hard_resets: int, strategy: str | None) -> None:
    """70-29, H-2, H-3."""
    budget = StepBudget(step_id="s", step_index=0, begun=used, used=used)
    move = next_move(failure_class, budget, ALLOWED, hard_resets)
    assert move.strategy == strategy
    assert move.why


@pytest.mark.parametrize(
    ("failures", "stuck"),
    [
        ([failure()], False),
        ([failure(), failure()], True),
        ([failure("a"), failure("b")], False),
        ([failure("a"), failure("b"), failure("b")], True),
        ([failure("a", "1"), failure("a", "2")], False),
        ([failure("a"), failure("b"), failure("a")], False),
        ([failure("a", None), failure("a", None)], True),
        ([failure(None, None), failure(None, None)], False),
    ],
)
def test_alike_and_in_a_row(failures: list[Failure], stuck: bool) -> None:
    """H-1: the same signature and the same diff hash; a lost attempt, which has neither, is like no other."""
    assert is_stuck(after(*failures), ALLOWED) is stuck


def test_the_limit_is_a_number_of_attempts() -> None:
    patient = ALLOWED._replace(no_progress=3)
    assert not is_stuck(after(failure(), failure()), patient)
    assert is_stuck(after(failure(), failure(), failure()), patient)


def test_what_people_interrupt_counts_for_nothing_but_has_its_number() -> None:
    """Q-14, 70-24."""
    budget = after(failure()).begin(ATTEMPT).handed_back()
    assert (budget.begun, budget.used, budget.running) == (2, 1, None)
    assert budget.begin(ATTEMPT).begun == 3
    assert budget.last == failure()


@pytest.mark.parametrize(
    ("job_attempt", "failure_class", "afresh"),
    [
        (2, "transient_runtime", True),
        (2, "stuck_no_progress", True),
        (2, "lease_expired", False),
        (2, "released_too_often", False),
        (1, "transient_runtime", False),
        (1, None, False),
    ],
)
def test_only_the_workers_own_word_starts_a_budget_afresh(
    job_attempt: int, failure_class: str | None, afresh: bool
) -> None:
    """H-2: a retryable fail after exhaustion, in the job's next attempt."""
    spent = after(failure(), failure(), failure()).used_up(1)
    found = spent.for_next_claim(job_attempt, failure_class)
    assert (found.used, found.in_a_row, found.begun) == ((0, 0, 0) if afresh else (3, 3, 3))
    assert found.last == failure()


def test_a_budget_with_something_left_is_carried_over() -> None:
    left = after(failure())
    for failure_class in ("transient_runtime", "lease_expired", None):
        assert left.for_next_claim(2, failure_class) == left


def test_the_tasks_own_limits_come_before_the_deployments() -> None:
    """70-32: also where they are 0."""
    settings = WorkerSettings(step_max_attempts=4, job_max_hard_resets=2, step_idle_timeout_seconds=7)
    own = Limits(step_attempts=2, hard_resets=0, step_wall_seconds=0.5)
    assert Allowed.of(Limits(), settings) == Allowed(4, 900.0, 7, 2, 2)
    assert Allowed.of(own, settings) == Allowed(2, 0.5, 7, 2, 0)


def test_the_defaults_are_those_of_the_contract() -> None:
    """H-2."""
    assert Allowed.of(Limits(), WorkerSettings()) == Allowed(3, 900.0, 300.0, 2, 1)
