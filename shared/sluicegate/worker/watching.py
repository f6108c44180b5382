"""What may stop a command before it has ended by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sluicegate.worker.holds import Holds
    from sluicegate.worker.process.command import Command


class Watch(Protocol):
    """Watches one command."""

    def heard(self, chunk: bytes) -> None:
        """Called with each piece of output, as it came; must not block."""

    async def over(self, command: Command, holds: Holds) -> None:
        """Return once the command is to be stopped. Cancelled when it has ended."""


class TimeLimit:
    """Its time alone, whatever it puts out. None is no limit."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def heard(self, chunk: bytes) -> None: ...

    async def over(self, command: Command, holds: Holds) -> None:
        if self._seconds is None:
            await asyncio.get_running_loop().create_future()
        else:
            await holds.worked(holds.worked_seconds + self._seconds)
