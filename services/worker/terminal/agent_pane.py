"""The worker's side of the agent pane: what the run's terminal shows goes in, what a person types comes out.

What is typed is passed on while a grant is in force, and only then: tmux may let others type (70-25), who
have the same user, and so do scripts. A pane that is slow misses what it cannot show; the task never waits.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from services.worker.terminal.gathered import Gathered, Part
from services.worker.terminal.publisher import NOBODY_THERE
from sluicegate.operations.terminal_messages import left_out
from sluicegate.worker.terminal import Listener, Size, Terminal

PROGRAM: Final = Path(__file__).with_name("pane_program.py")
WAITING_BYTES: Final = 64 * 1024
"""So much may be on its way to the pane; what comes meanwhile is gathered."""
GATHERED_BYTES: Final = 128 * 1024
LOOK_SECONDS: Final = 0.05
BELL: Final = b"\a"
LARGEST: Final = (1000, 500)


class AgentPane(Listener):
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.there = asyncio.Event()
        """Set once the pane shows and hears."""
        self._granted = False
        self._size: Size | None = None
        self._gathered = Gathered(GATHERED_BYTES)
        self._hearing = ExitStack()
        self._door: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._pane: asyncio.StreamWriter | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None

    @property
    def granted(self) -> bool:
        return self._granted

    @granted.setter
    def granted(self, granted: bool) -> None:
        """Whether what is typed into the pane is typed into the terminal, which then has the pane's size."""
        self._granted = granted
        self._take_size()

    async def open(self, door: Path) -> list[str]:
        """Listen at this socket; returns the command that the pane is to run."""
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(door))
        self._server = await asyncio.start_unix_server(self._meet, sock=self._door)
        self._hearing.enter_context(self._terminal.heard_by(self))
        return [sys.executable, "-I", "-S", str(PROGRAM), str(door)]

    async def close(self) -> None:
        """The pane's program ends. Again, and before `open`, it does nothing."""
        self._hearing.close()
        self._granted = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._door is not None:
            self._door.close()  # also if it was not served yet
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    def shown(self, data: bytes) -> None:
        self._gathered.add(data)
        if self._later is None:
            self._hand_over()

    def resized(self, size: Size) -> None:
        """The pane keeps its own size: what does not fit is wrapped."""

    def _hand_over(self) -> None:
        """What was gathered, as soon as the pane takes it; before there is one it waits."""
        self._later = None
        if (pane := self._pane) is None or not self._gathered:
            return
        if pane.transport.get_write_buffer_size() <= WAITING_BYTES:
            pane.writelines(map(_as_shown, self._gathered.take()))
        else:
            self._later = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._hand_over)

    def _meet(self, reader: asyncio.StreamReader, pane: asyncio.StreamWriter) -> None:
        """The newest pane takes the place of an earlier one, which was started again or copied."""
        if self._pane is not None:
            self._pane.close()
        self._gathered.take()
        self._pane = pane
        pane.write(bytes(self._terminal.recent))
        talk = asyncio.create_task(self._talk(reader, pane), name="agent pane")
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, pane: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._hear(line, pane)
        except (ConnectionError, ValueError):
            pass  # it has gone, or it is none of our programs
        finally:
            if self._pane is pane:
                self._pane = None
            pane.close()

    async def _hear(self, line: bytes, pane: asyncio.StreamWriter) -> None:
        """Raises ValueError for what the program does not say."""
        word, _, rest = line.strip().partition(b" ")
        if word == b"size":
            columns, rows = (
                min(max(int(n), 1), most) for n, most in zip(rest.split(b"x"), LARGEST, strict=True)
            )
            self._size = Size(columns, rows)
            self.there.set()
            self._take_size()
        elif not self._granted:
            pane.write(BELL)
        elif not await self._terminal.type(bytes.fromhex(rest.decode())):
            pane.write(NOBODY_THERE)

    def _take_size(self) -> None:
        if self._granted and self._size is not None:
            self._terminal.resize(self._size)


def _as_shown(part: Part) -> bytes:
    match part.kind:
        case "d":
            return part.data
        case "left_out":
            return left_out(int(part.data))
    return b""
