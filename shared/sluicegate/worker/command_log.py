"""A command's output on its way to the job's events and to a log file: redacted, batched, bounded."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from sluicegate.redact import RedactedStream, Redactor
from sluicegate.worker.terminal import QUIET_SECONDS, SEEN_OF_A_SECRET, Terminal

EVENT_CHARACTERS: Final = 8 * 1024
FLUSH_SECONDS: Final = 0.2
TAIL_BYTES: Final = 64 * 1024
MAX_PENDING: Final = 512 * 1024
"""Output of a stream that may wait for the store; beyond it only the log file has everything."""

Emit = Callable[[str, str], Awaitable[None]]


class CommandLog:
    """Takes chunks as they come (never blocks), emits text a few times a second. Close it when all is in.

    emit: called with (text, stream); max_bytes: most that such a text may take as JSON.
    path: gets all of the output, in order of arrival, appended. tail: the last of it, redacted like the
    rest: what is cut off raw may begin within a secret, which nothing would find any more. terminal: it shows
    what comes from a pseudo-terminal.
    """

    def __init__(
        self,
        redactor: Redactor,
        emit: Emit,
        path: Path | None,
        *,
        max_bytes: int,
        terminal: Terminal | None = None,
    ) -> None:
        self._redactor = redactor
        self._emit = emit
        self._terminal = terminal
        self._quiet: asyncio.TimerHandle | None = None
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = path.open("ab") if path else None
        self.tail = bytearray()
        self._streams: dict[str, RedactedStream] = {}
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._pending: dict[str, str] = {}
        self._left_out: dict[str, int] = {}
        self._filled = asyncio.Event()
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="command log")

    def take(self, chunk: bytes, stream: str) -> None:
        """One chunk of raw output."""
        if stream not in self._streams:
            self._streams[stream] = self._redactor.stream()
            self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        redacted = self._streams[stream]
        self._add(redacted.feed(chunk), stream)
        if stream == "pty" and self._terminal is not None:
            self._show(self._terminal, redacted)

    async def close(self) -> None:
        """Emit what is left and close the file. Raises what `emit` raised, now or before."""
        try:
            for stream, redacted in self._streams.items():
                self._add(redacted.close(), stream, last=True)
                if stream == "pty" and self._terminal is not None:
                    self._show(self._terminal, redacted)
            self._closing.set()
            self._filled.set()
            await self._task
        finally:
            self._task.cancel()
            if self._file:
                self._file.close()

    def _show(self, terminal: Terminal, redacted: RedactedStream) -> None:
        """What came, and after a moment of quiet the first bytes of what is held back."""
        if redacted.live:
            terminal.show(redacted.live)
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if redacted.held:
            self._quiet = asyncio.get_running_loop().call_later(
                QUIET_SECONDS, self._show_beginning, terminal, redacted
            )

    def _show_beginning(self, terminal: Terminal, redacted: RedactedStream) -> None:
        self._quiet = None
        if beginning := redacted.peek(SEEN_OF_A_SECRET):
            terminal.show(beginning)

    def _add(self, data: bytes, stream: str, *, last: bool = False) -> None:
        if self._file and data:
            self._file.write(data)
        self.tail += data
        del self.tail[:-TAIL_BYTES]
        text = self._decoders[stream].decode(data, last)
        if not text:
            return
        pending = self._pending.get(stream, "")
        if stream in self._left_out or len(pending) + len(text) > MAX_PENDING:
            self._left_out[stream] = self._left_out.get(stream, 0) + len(text)
        else:
            self._pending[stream] = pending + text
        self._filled.set()

    async def _run(self) -> None:
        while not self._closing.is_set() or self._pending or self._left_out:
            await self._filled.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._closing.wait()
            self._filled.clear()
            await self._flush()

    async def _flush(self) -> None:
        if self._file:
            self._file.flush()  # for who reads the log while it grows
        pending, self._pending = self._pending, {}
        left_out, self._left_out = self._left_out, {}
        for stream in pending | left_out:
            for text in pieces(pending.get(stream, ""), self._max_bytes):
                await self._emit(text, stream)
            if stream in left_out:
                await self._emit(f"[{left_out[stream]} characters left out: see the full log]\n", stream)


def pieces(text: str, max_bytes: int) -> Iterator[str]:
    """The text in parts that are small enough as JSON, where a control character takes six bytes."""
    for start in range(0, len(text), EVENT_CHARACTERS):
        yield from _fitting(text[start : start + EVENT_CHARACTERS], max_bytes)


def _fitting(text: str, max_bytes: int) -> Iterator[str]:
    half = len(text) // 2
    if half == 0 or len(msgspec.json.encode(text)) <= max_bytes:
        yield text
    else:
        yield from _fitting(text[:half], max_bytes)
        yield from _fitting(text[half:], max_bytes)
