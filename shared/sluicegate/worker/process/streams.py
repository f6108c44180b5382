"""A command's output, always drained and never waited for, and the way to type into its terminal."""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Callable
from typing import Final

OnOutput = Callable[[bytes, str], None]
"""Gets each chunk as it came, and where it came from: "pty", or "stdout" and "stderr"."""

TAIL_BYTES: Final = 64 * 1024
CHUNK_BYTES: Final = 64 * 1024
DRAIN_BYTES: Final = 4 * 1024 * 1024
"""More than a full pipe or terminal holds: past it someone outside the tree is still writing."""


class Streams:
    """The worker's ends of a command's stdin, stdout and stderr. The command's ends are `theirs`."""

    def __init__(self, ours: dict[int, str], theirs: tuple[int, int, int], terminal: int | None) -> None:
        self.theirs = theirs
        self.tail = bytearray()
        self._open = ours
        self._terminal = terminal
        self._on_output: OnOutput | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._typing = asyncio.Lock()
        self._writable: asyncio.Future[None] | None = None
        for file in ours:
            os.set_blocking(file, False)

    @classmethod
    def pty(cls, columns: int, rows: int) -> Streams:
        ours, theirs = os.openpty()
        termios.tcsetwinsize(ours, (rows, columns))
        return cls({ours: "pty"}, (theirs, theirs, theirs), ours)

    @classmethod
    def pipes(cls) -> Streams:
        """stdin is empty."""
        null = os.open(os.devnull, os.O_RDONLY)
        (out, their_out), (err, their_err) = os.pipe(), os.pipe()
        return cls({out: "stdout", err: "stderr"}, (null, their_out, their_err), None)

    def given_away(self) -> None:
        """The guard has its copies: close ours, so that the end of the tree is the end of the output."""
        for file in set(self.theirs):
            os.close(file)
        self.theirs = (-1, -1, -1)

    def follow(self, loop: asyncio.AbstractEventLoop, on_output: OnOutput) -> None:
        self._loop, self._on_output = loop, on_output
        for file in self._open:
            loop.add_reader(file, self._read, file)

    def drain(self) -> None:
        """Read what is left, once the tree is empty. A stray holder of the other end delays nothing."""
        for file in list(self._open):
            left = DRAIN_BYTES
            while left > 0 and (count := self._read(file)):
                left -= count

    def close(self) -> None:
        if self.theirs[0] >= 0:
            self.given_away()
        for file in list(self._open):
            self._close(file)

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal is not None:
            termios.tcsetwinsize(self._terminal, (rows, columns))

    async def write(self, data: bytes) -> None:
        """All of it, in turn with other writers. Raises BrokenPipeError once the command has ended."""
        async with self._typing:
            rest = memoryview(data)
            while rest:
                if self._terminal is None:
                    raise BrokenPipeError("the command has ended, or has no terminal")
                try:
                    rest = rest[os.write(self._terminal, rest) :]
                except BlockingIOError:
                    await self._until_writable(self._terminal)
                except OSError as error:
                    raise BrokenPipeError("the command has closed its terminal") from error

    async def _until_writable(self, terminal: int) -> None:
        loop = asyncio.get_running_loop()
        writable = self._writable = loop.create_future()
        loop.add_writer(terminal, self._now_writable)
        try:
            await writable
        finally:
            self._writable = None
            if self._terminal is not None:
                loop.remove_writer(terminal)

    def _now_writable(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _read(self, file: int) -> int:
        """One chunk; 0 when there is none now, or no more ever."""
        try:
            chunk = os.read(file, CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            chunk = b""  # EIO: how a terminal says that the last holder of its other end has gone
        if not chunk:
            self._close(file)
            return 0
        self.tail += chunk
        del self.tail[:-TAIL_BYTES]
        self._hand_on(chunk, self._open[file])
        return len(chunk)

    def _hand_on(self, chunk: bytes, stream: str) -> None:
        if self._on_output is None or self._loop is None:
            return
        try:
            self._on_output(chunk, stream)
        except Exception as error:  # noqa: BLE001 - the caller's fault must not stop the draining
            self._loop.call_exception_handler({"message": "on_output failed", "exception": error})

    def _close(self, file: int) -> None:
        del self._open[file]
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(file)
            if file == self._terminal:
                self._loop.remove_writer(file)
        if file == self._terminal:
            self._terminal = None
            if self._writable is not None and not self._writable.done():
                self._writable.set_exception(BrokenPipeError("the command has ended"))
        os.close(file)
