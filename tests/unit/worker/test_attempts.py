"""The attempts of a worker: what reaches them, also before they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.model import LiveControl
from sluicegate.settings import WorkerSettings
from sluicegate.worker import attempts
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.attempts import Attempts
from tests.support.scripted_transport import claimed


@pytest.fixture
def heard() -> list[RunningAttempt]:
    return []


@pytest.fixture
def running(heard: list[RunningAttempt], tmp_path: Path) -> Iterator[Attempts]:
    yield Attempts(WorkerSettings(worker_dir=tmp_path), heard.append)


async def made(job_id: str = "job-1", token: int = 1, **fields: str) -> RunningAttempt:
    attempt = RunningAttempt(claimed(job_id, token, **fields))
    attempt.task = asyncio.create_task(asyncio.sleep(0), name="attempt")  # type: ignore[arg-type]
    return attempt


async def test_a_push_waits_for_its_attempt_and_no_other(
    running: Attempts, heard: list[RunningAttempt]
) -> None:
    """C-10: of this job, under this token; once."""
    running.cancel("job-1", 2, 1_000)
    earlier, later = await made(token=1), await made(token=2)
    running.add(earlier)
    assert earlier.interruption is None
    running.remove(earlier)
    running.add(later)
    assert (later.interruption, later.cancel_requested_ms) == ("cancel", 1_000)
    assert heard == [later]
    running.remove(later)
    running.add(again := await made(token=2))
    assert again.interruption is None


async def test_a_pause_waits_for_its_attempt_too_and_beside_a_cancel(running: Attempts) -> None:
    """L-5: the push of an operator who was quick, and of the resume that followed."""

    def wanted(version: int, *, paused: bool) -> LiveControl:
        return LiveControl(paused=paused, hard=paused, takeover=False, version=version)

    running.control("job-1", 1, wanted(1, paused=True))
    running.add(held := await made("job-1"))
    assert (held.holds.reasons, held.holds.hard) == ({"operator"}, True)
    running.control("job-1", 1, wanted(2, paused=False))
    assert not held.holds
    running.control("job-2", 1, wanted(1, paused=True))
    running.control("job-2", 1, wanted(2, paused=False))
    running.cancel("job-2", 1, 1_000)
    running.add(both := await made("job-2"))
    assert (both.interruption, bool(both.holds)) == ("cancel", False)


async def test_a_repeated_claim_may_say_that_its_job_was_cancelled(running: Attempts) -> None:
    """Q-16, C-10: its first answer was lost, and with it the time in which the push came."""
    running.add(attempt := await made(status="running", cancel_at="77"))
    assert (attempt.interruption, attempt.cancel_requested_ms) == ("cancel", 77)


async def test_what_waits_is_bounded(running: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 9: most of these are of attempts that have ended, and never come."""
    monkeypatch.setattr(attempts, "MAX_EARLY", 2)
    for number in range(3):
        running.cancel(f"job-{number}", 1, 1_000)
    for number, expected in enumerate([None, "cancel", "cancel"]):
        running.add(attempt := await made(f"job-{number}"))
        assert attempt.interruption == expected


async def test_those_that_are_asked_to_wait_and_do_not_wait_yet(running: Attempts) -> None:
    """P-11: neither one at its checkpoint, nor one that is about to end, nor one that nobody asked."""
    free, going, waiting, ending = [await made(f"job-{number}") for number in range(4)]
    for attempt in (free, going, waiting, ending):
        running.add(attempt)
    for attempt in (going, waiting, ending):
        attempt.holds.set("worker_pause", True)
    waiting.waiting_at_checkpoint = True
    ending.interrupt("cancel")
    (seconds,) = running.on_their_way("worker_pause")
    assert 0 <= seconds < 5
    assert running.on_their_way("operator") == []
    going.holds.set("worker_pause", False)
    assert running.on_their_way("worker_pause") == []
    assert going.holds.held_seconds == 0
    await asyncio.gather(*(attempt.task for attempt in (free, going, waiting, ending) if attempt.task))
