"""How much of the memory that the store's server may use is used: what new work is refused by (Q-17)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from sluicegate.errors import Busy, StoreFault

LOOK_SECONDS: Final = 1.0
"""A look is good for this long: no enqueue pays for one of its own."""


class Memory:
    """One per store object. most: the share of `maxmemory` past which nothing new is accepted."""

    def __init__(self, command: Callable[..., Awaitable[Any]], most: float) -> None:
        self._command = command
        self._most = most
        self._share = 0.0
        self._good_until = 0.0
        self._looking = asyncio.Lock()

    async def refusal(self) -> Busy | None:
        """Why nothing new is accepted now; None while there is room, or the server has no `maxmemory`."""
        share = await self._current_share()
        if share <= self._most:
            return None
        return Busy(
            f"the store uses {share:.0%} of its maxmemory, and new jobs are accepted up to {self._most:.0%} "
            "(SLUICEGATE_MAX_MEMORY_SHARE)",
            code="queue_full",
        )

    async def _current_share(self) -> float:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._good_until:
            async with self._looking:
                if loop.time() >= self._good_until:
                    self._share = await self._look()
                    self._good_until = loop.time() + LOOK_SECONDS
        return self._share

    async def _look(self) -> float:
        try:
            text = str(await self._command("INFO", "memory"))
        except StoreFault:
            return 0.0  # a server that does not say is taken to have no limit
        figures = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        most = int(figures.get("maxmemory", 0))
        return int(figures["used_memory"]) / most if most else 0.0
