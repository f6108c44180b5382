"""The pause state of a worker: the newest version it has seen, however it learnt of it."""

from __future__ import annotations

import asyncio

import pytest

from sluicegate.model import SystemState
from sluicegate.worker.controls import PauseState

QUIESCED = SystemState(workers_paused=True, mode="quiesce", reason="disk", version=5)


async def test_an_older_version_never_replaces_a_newer_one() -> None:
    """P-7: a heartbeat's reply that was on its way when the push came is old news."""
    pause = PauseState()
    pause.observe(QUIESCED)
    pause.observe(SystemState(workers_paused=False, version=4))
    assert pause.quiesced
    pause.observe(SystemState(workers_paused=False, version=6))
    pause.observe(QUIESCED)
    assert not pause.quiesced
    assert pause.state.version == 6


async def test_draining_is_not_quiescing() -> None:
    pause = PauseState()
    pause.observe(SystemState(workers_paused=True, mode="drain", version=1))
    assert not pause.quiesced


async def test_each_change_wakes_those_who_wait_and_each_version_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """P-7: log once per version."""
    pause = PauseState()
    waiting = asyncio.create_task(pause.change().wait())
    await asyncio.sleep(0)
    with caplog.at_level("INFO"):
        for _ in range(3):
            pause.observe(QUIESCED)
    await asyncio.wait_for(waiting, 1)
    assert caplog.text.count("worker.pause.seen") == 1
    again = asyncio.create_task(pause.change().wait())
    await asyncio.sleep(0)
    pause.observe(QUIESCED)
    await asyncio.sleep(0)
    assert not again.done()
    pause.observe(SystemState(workers_paused=False, version=6))
    await asyncio.wait_for(again, 1)
