"""Alarms of waiting claims, under the loop that the service runs on."""

from __future__ import annotations

import asyncio
from typing import cast

import uvloop

from services.queue_api.alarms import Alarms
from sluicegate.model import Policy
from sluicegate.store.bells import Bells

POLICY = Policy(types=("noop",))


class Rung:
    """In place of the bells: who was woken."""

    def __init__(self) -> None:
        self.policies: list[Policy] = []

    def pass_on(self, policy: Policy) -> None:
        self.policies.append(policy)


def test_an_alarm_that_is_due_at_once_can_be_asked_for_twice() -> None:
    """A drill's claim was answered 500 though it had got jobs: uvloop gives what is due at once no `when`."""

    async def twice() -> list[Policy]:
        rung = Rung()
        alarms = Alarms(cast(Bells, rung))
        alarms.ring_in(POLICY, 0.0)
        alarms.ring_in(POLICY, 2.0)
        alarms.ring_in(POLICY, -1.0)
        await asyncio.sleep(0.01)
        alarms.close()
        return rung.policies

    assert uvloop.run(twice()) == [POLICY]


def test_the_earlier_alarm_stands() -> None:
    async def both() -> list[Policy]:
        rung = Rung()
        alarms = Alarms(cast(Bells, rung))
        alarms.ring_in(POLICY, 60.0)
        alarms.ring_in(POLICY, 0.001)
        alarms.ring_in(POLICY, 60.0)
        while not rung.policies:
            await asyncio.sleep(0.001)
        return rung.policies

    assert uvloop.run(both()) == [POLICY]
