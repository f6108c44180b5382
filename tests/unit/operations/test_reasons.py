"""Why a job does not run, decided from what is known: each true reason, in order, and nothing else (Q-19)."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.limits import Limit
from sluicegate.model import Job, Lane, Policy, SystemState
from sluicegate.operations import reasons
from sluicegate.store.standing import LiveWorker, Place, Standing, Usage
from sluicegate.times import to_rfc3339

NOW = 1_800_000_000_000
WORKER = LiveWorker("w1", Policy())
RUNNING = SystemState(workers_paused=False)
PAUSED = SystemState(
    workers_paused=True, mode="drain", reason="upgrade", requested_by_user_id="ann",
    requested_at=to_rfc3339(NOW - 1000), until=to_rfc3339(NOW + 1000), version=3,
)  # fmt: skip


def standing(**known: Any) -> Standing:
    usual: dict[str, Any] = {
        "lane": Lane(type="task"), "now_ms": NOW, "system": RUNNING, "workers": [WORKER], "limits": [],
        "due_ms": None, "place": Place(0, 1),
    }  # fmt: skip
    return Standing(**{**usual, **known})


def job(**known: Any) -> Job:
    return Job(id="j", type="task", status="queued", created_at="x", updated_at="x", **known)


def codes(known: Standing, of: Job | None = None) -> list[str]:
    return [reason.code for reason in reasons.of(of or job(), known)]


def test_every_true_reason_stands_in_order() -> None:
    """Q-19: pause, workers, limits, time, place; each with what would change it."""
    found = reasons.of(
        job(attempt=2, error_message="broken"),
        standing(
            lane=Lane(type="task", capabilities=("gpu",), affinity_key="k"),
            system=PAUSED, workers=[], limits=[Usage(Limit("key=k", 1), 1, ["a"])], due_ms=NOW + 5000,
            place=None,
        ),
    )  # fmt: skip
    assert [reason.code for reason in found] == [
        "paused", "no_live_worker", "no_worker_with_capability", "concurrency_limit", "backoff",
    ]  # fmt: skip
    assert all(reason.message and reason.remedy for reason in found)
    paused, _, _, limit, backoff = found
    assert (paused.by, paused.since, paused.until) == ("ann", PAUSED.requested_at, PAUSED.until)
    assert limit.detail == {"limit": "key=k", "most": 1, "running": 1, "heldBy": ["a"]}
    assert backoff.until == to_rfc3339(NOW + 5000)


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([Policy(capabilities=("gpu",))], []),
        ([Policy()], ["no_worker_with_capability"]),
        ([Policy(types=("a",), capabilities=("gpu",))], ["no_worker_for_type"]),
        ([Policy(repositories=("h/o/b",), capabilities=("gpu",))], ["no_worker_for_repository"]),
        ([Policy(types=("a",), repositories=(), capabilities=("gpu",))],
         ["no_worker_for_type", "no_worker_for_repository"]),
        ([Policy(types=("task",)), Policy(types=("a",), capabilities=("gpu",))], ["no_worker_fits"]),
        ([], ["no_live_worker", "no_worker_with_capability"]),
    ],
)  # fmt: skip
def test_what_no_live_worker_does_is_named(policies: list[Policy], expected: list[str]) -> None:
    """Q-3, Q-4, Q-19: type, repository and capabilities, each by itself; else that no one does all."""
    workers = [LiveWorker(f"w{at}", policy) for at, policy in enumerate(policies)]
    lane = Lane(type="task", repository="h/o/a", capabilities=("gpu",))
    assert codes(standing(lane=lane, workers=workers)) == [*expected, "position"]


def test_a_job_without_repository_is_not_for_workers_with_a_list() -> None:
    """Q-3."""
    found = reasons.of(job(), standing(workers=[LiveWorker("w", Policy(repositories=("h/o/a",)))]))
    assert "without a repository" in found[0].message


def test_a_limit_with_room_is_no_reason() -> None:
    usage = Usage(Limit("type=task", 2), 1, ["a"])
    assert codes(standing(limits=[usage])) == ["position"]


def test_the_time_is_a_backoff_a_delay_or_over() -> None:
    """Q-7, Q-19."""
    assert codes(standing(due_ms=NOW + 1, place=None)) == ["delayed"]
    assert codes(standing(due_ms=NOW + 1, place=None), job(attempt=2)) == ["backoff"]
    assert codes(standing(due_ms=NOW, place=None)) == ["due"]


@pytest.mark.parametrize(
    ("place", "position", "told"),
    [
        (Place(0, 1), 1, "number 1 of 1"),
        (Place(6, 9), 7, "number 7 of 9"),
        (Place(None, 5000), None, "more than 1,000 of 5,000"),
    ],
)
def test_its_place_in_the_lane(place: Place, position: int | None, told: str) -> None:
    (reason,) = reasons.of(job(), standing(place=place))
    assert told in reason.message
    assert reason.detail is not None and reason.detail["position"] == position
