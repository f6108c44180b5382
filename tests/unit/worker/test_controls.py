"""The pause state of a worker: the newest version it has seen, however it learnt of it."""

from __future__ import annotations

import pytest

from sluicegate.model import SystemState
from sluicegate.worker.attempt import RunningAttempt
from sluicegate.worker.controls import PauseState
from tests.support.scripted_transport import claimed

QUIESCED = SystemState(workers_paused=True, mode="quiesce", reason="disk", version=5)
RUNNING = SystemState(workers_paused=False, version=6)


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture
def pause(changes: list[str]) -> PauseState:
    return PauseState("worker-1", lambda: changes.append("changed"))


def test_an_older_version_never_replaces_a_newer_one(pause: PauseState) -> None:
    """P-7: a heartbeat's reply that was on its way when the push came is old news."""
    pause.observe(QUIESCED)
    pause.observe(SystemState(workers_paused=False, version=4))
    assert pause.quiesced
    pause.observe(RUNNING)
    pause.observe(QUIESCED)
    assert not pause.quiesced
    assert pause.state.version == 6


def test_quiesce_holds_an_attempt_and_draining_does_not(pause: PauseState) -> None:
    attempt = RunningAttempt(claimed())
    pause.observe(SystemState(workers_paused=True, mode="drain", version=1))
    pause.hold(attempt)
    assert not attempt.holds
    pause.observe(QUIESCED)
    pause.hold(attempt)
    assert attempt.holds.reasons == {"worker_pause"}
    pause.observe(RUNNING)
    pause.hold(attempt)
    assert not attempt.holds


def test_each_change_is_told_and_logged_once(
    pause: PauseState, changes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """P-3, P-7: log once per version, whose worker it is and why."""
    with caplog.at_level("INFO"):
        for _ in range(3):
            pause.observe(QUIESCED)
    (line,) = [r.__dict__["fields"] for r in caplog.records if r.getMessage() == "worker.pause.seen"]
    assert line == {"worker": "worker-1", "paused": True, "mode": "quiesce", "reason": "disk", "version": 5}
    assert changes == ["changed"]
    pause.observe(RUNNING)
    assert changes == ["changed"] * 2
