"""Workers that reach the queue over HTTP are heard of by what they call, announced or not (70-46)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from sluicegate import keys
from sluicegate.errors import Busy, StoreError
from sluicegate.model import Policy

NOTE_SECONDS: Final = 10.0
"""A worker is noted at most this often: a third of the time for which it then counts as live."""
KEPT_MS: Final = 120_000
MOST: Final = 20_000
"""Workers remembered here at a time; past that some are noted more often."""

_encode = msgspec.json.encode


class Hearing:
    """One per store object; what it fails to write is no reason to fail the call that it was heard by."""

    def __init__(self, commands: Callable[..., Awaitable[Any]], now_ms: Callable[[], Awaitable[int]]) -> None:
        self._commands = commands
        self._now_ms = now_ms
        self._noted: dict[tuple[str, str], float] = {}

    async def claimed(self, worker_id: str, policy: Policy) -> None:
        """The worker asked for jobs, as far as this policy goes."""
        if self._is_due(worker_id, policy.id):
            await self._note(worker_id, ("SET", keys.heard(worker_id), _encode(policy), "PX", KEPT_MS))

    async def seen(self, worker_id: str) -> None:
        """The worker renewed its leases."""
        if self._is_due(worker_id, ""):
            await self._note(worker_id, ("PEXPIRE", keys.heard(worker_id), KEPT_MS))

    def _is_due(self, worker_id: str, policy_id: str) -> bool:
        now = asyncio.get_running_loop().time()
        last = self._noted.get((worker_id, policy_id))
        if last is not None and now < last + NOTE_SECONDS:
            return False
        if len(self._noted) >= MOST:
            self._noted.clear()
        self._noted[worker_id, policy_id] = now
        if policy_id:
            self._noted[worker_id, ""] = now
        return True

    async def _note(self, worker_id: str, what: tuple[Any, ...]) -> None:
        try:
            await self._commands(what, ("ZADD", keys.WORKERS, await self._now_ms(), worker_id))
        except (StoreError, Busy):
            return
