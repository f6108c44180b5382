"""What the terminal of one attempt shows, for who watches it, and the way to type into what runs there.

What is shown has been redacted. It is what commands put out on their pseudo-terminals, and the notices of
pauses, one after the other, as on one screen that all commands of the attempt share.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sluicegate.worker.process.command import Command

RECENT_BYTES: Final = 64 * 1024
"""So much is kept for a listener that comes later."""
TAKEN_SECONDS: Final = 2.0
"""A command that takes nothing of what is typed for this long does not get the rest."""
SEEN_OF_A_SECRET: Final = 3
"""Bytes that are shown though a secret may begin with them: fewer than any known value has, so that what a
person types is echoed at once, nearly always. What goes on like a secret waits until it is decided what it
is, however long that takes: shown by and by, it could be read before it is found."""
QUIET_SECONDS: Final = 0.01
"""They are shown once nothing more has come for so long: output that comes in two parts is waited for."""


class Size(NamedTuple):
    columns: int
    rows: int


class Listener:
    """Hears what is shown, in the worker's loop; neither may block, nor may it raise."""

    def shown(self, data: bytes) -> None: ...

    def resized(self, size: Size) -> None: ...


class Terminal:
    """The terminal of one attempt. All of it belongs to the worker's loop."""

    def __init__(self) -> None:
        self.size = Size(120, 40)
        self.recent = bytearray()
        self._listeners: list[Listener] = []
        self._commands: list[Command] = []
        self._attached = asyncio.Event()

    def show(self, data: bytes) -> None:
        """Redacted output, as it comes."""
        self.recent += data
        del self.recent[:-RECENT_BYTES]
        for listener in self._listeners:
            listener.shown(data)

    @contextlib.contextmanager
    def heard_by(self, listener: Listener) -> Iterator[bytes]:
        """Inside the block it hears everything; yields what was shown lately, before that."""
        self._listeners.append(listener)
        try:
            yield bytes(self.recent)
        finally:
            self._listeners.remove(listener)

    @property
    def takes_input(self) -> bool:
        """Whether a command is there that gets what is typed."""
        return bool(self._commands)

    async def until_it_takes_input(self) -> None:
        """Wait for a command that does."""
        while not self._commands:
            self._attached.clear()
            await self._attached.wait()

    def attach(self, command: Command) -> None:
        """It gets what is typed, until it is detached or another one begins."""
        self._commands.append(command)
        self._attached.set()
        if (size := self.size) != command.size:
            command.resize(*size)

    def detach(self, command: Command) -> None:
        with contextlib.suppress(ValueError):
            self._commands.remove(command)

    async def type(self, data: bytes) -> bool:
        """Give it to the command that runs; False when none does, or it does not take it."""
        if not self._commands:
            return False
        with contextlib.suppress(TimeoutError, BrokenPipeError):
            async with asyncio.timeout(TAKEN_SECONDS):
                await self._commands[-1].write(data)
            return True
        return False

    def resize(self, size: Size) -> None:
        """For what runs, and for what is started from now on."""
        if size == self.size:
            return
        self.size = size
        for command in self._commands:
            command.resize(*size)
        for listener in self._listeners:
            listener.resized(size)
