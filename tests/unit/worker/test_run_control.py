"""What an attempt has heard of its operators: the newest version, and what is asked of its steps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sluicegate.model import LiveControl, Recovery
from sluicegate.worker.holds import Holds
from sluicegate.worker.run_control import RunControl


def wanted(version: int, **fields: Any) -> LiveControl:
    return LiveControl(**{"paused": False, "hard": False, "takeover": False, "version": version, **fields})


def recovery(request_id: str) -> Recovery:
    return Recovery(id=request_id, action="retry_step", requested_by_user_id="ann", updated_at="then")


@pytest.fixture
def holds() -> Holds:
    return Holds()


@pytest.fixture
def control(holds: Holds) -> RunControl:
    return RunControl(holds)


def test_an_older_version_changes_nothing(control: RunControl, holds: Holds) -> None:
    """A heartbeat's reply that was on its way when the push came is old news."""
    control.observe(wanted(2, paused=True))
    control.observe(wanted(1))
    control.observe(None)
    assert holds.reasons == {"operator"}
    control.observe(wanted(3))
    control.observe(wanted(2, paused=True))
    assert not holds


@pytest.mark.parametrize(
    ("fields", "held", "hard"),
    [
        ({}, False, False),
        ({"paused": True}, True, False),
        ({"paused": True, "hard": True}, True, True),
        ({"paused": True, "takeover": True}, True, False),
    ],
)
def test_a_pause_and_a_takeover_hold(
    control: RunControl, holds: Holds, fields: dict[str, bool], held: bool, hard: bool
) -> None:
    """H-10, L-5, L-9."""
    control.observe(wanted(1, **fields))
    assert (bool(holds), holds.hard) == (held, hard)


def test_a_resume_leaves_another_hold(control: RunControl, holds: Holds) -> None:
    holds.set("worker_pause", True)
    control.observe(wanted(1, paused=True, hard=True))
    control.observe(wanted(2))
    assert (holds.reasons, holds.hard) == ({"worker_pause"}, False)


async def test_a_request_is_heard_and_the_next_one_too(control: RunControl) -> None:
    """H-10."""
    first = asyncio.create_task(control.recovery_after(None))
    await asyncio.sleep(0)
    control.observe(wanted(1, paused=True))
    await asyncio.sleep(0)
    assert not first.done()
    control.observe(wanted(2, recovery=recovery("1-1")))
    assert await asyncio.wait_for(first, 1) == recovery("1-1") == control.recovery
    second = asyncio.create_task(control.recovery_after(recovery("1-1")))
    await asyncio.sleep(0)
    assert not second.done()
    control.observe(wanted(3))
    await asyncio.sleep(0)
    control.observe(wanted(4, recovery=recovery("2-1")))
    assert await asyncio.wait_for(second, 1) == recovery("2-1")
    assert await control.recovery_after(None) == recovery("2-1")
