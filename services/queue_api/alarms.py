"""Waiting claims look again in time, and together no oftener than one: however many wait.

A bell rings when work arrives. Two things ring none: the due time of a delayed job, and a ring that was
lost. If every waiting claim had a timer of its own for them, a thousand of them would claim at once.
"""

from __future__ import annotations

import asyncio

from sluicegate.model import Policy
from sluicegate.store.bells import Bells


class Alarms:
    """One timer per policy; it wakes one of its waiting claims, which sets the next alarm."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._timers: dict[str, tuple[float, asyncio.Handle]] = {}

    def ring_in(self, policy: Policy, seconds: float) -> None:
        """One waiting claim of the policy is woken after that time; an earlier alarm stands."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        # What is due at once has no `when` under uvloop, so the time is kept beside it.
        if (known := self._timers.get(policy.id)) is not None:
            due, timer = known
            if due <= at:
                return
            timer.cancel()
        self._timers[policy.id] = at, loop.call_at(at, self._ring, policy)

    def close(self) -> None:
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _ring(self, policy: Policy) -> None:
        del self._timers[policy.id]
        self._bells.pass_on(policy)
