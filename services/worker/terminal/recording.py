"""The recording of an attempt's terminal: an asciicast of version 2, redacted as that is, bounded (L-14)."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections.abc import AsyncIterator, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.worker.terminal.gathered import Gathered, Part
from sluicegate.operations.terminal_messages import left_out
from sluicegate.times import now_ms
from sluicegate.worker.terminal import Listener, Size, Terminal

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun

CONTENT_TYPE: Final = "application/x-asciicast"
WRITE_SECONDS: Final = 0.1
"""Output of one such time stands in one line: a replay needs no more."""
WRITE_BYTES: Final = 64 * 1024
LAST_WORDS_BYTES: Final = 300


class Recording(Listener):
    """Writes what the terminal shows into a file, up to `most` bytes; then it says so and writes no more."""

    def __init__(self, path: Path, terminal: Terminal, *, title: str, most: int) -> None:
        self._path = path
        self._terminal = terminal
        self._title = title
        self._most = most
        self._gathered = Gathered(WRITE_BYTES)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._file: FileIO | None = None
        """Made when something is shown: an attempt that ran nothing has no recording."""
        self._written = 0
        self._began = 0.0
        self._full = False
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        with self._terminal.heard_by(self):
            try:
                yield
            finally:
                self._write(last=True)
                if self._file is not None:
                    self._file.close()

    def shown(self, data: bytes) -> None:
        self._gathered.add(data)
        self._write_soon()

    def resized(self, size: Size) -> None:
        self._gathered.resize(size)
        self._write_soon()

    def _write_soon(self) -> None:
        if self._timer is None and not self._full:
            self._timer = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._write)

    def _write(self, *, last: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered and not self._full:
            file = self._file or self._begin()
            for part in self._gathered.take():
                self._add(file, *self._event(part))
        if last and self._file is not None and (rest := self._decode(b"", True)):
            self._add(self._file, "o", rest)

    def _event(self, part: Part) -> tuple[str, str]:
        match part.kind:
            case "size":
                return "r", part.data.decode()
            case "left_out":
                return "o", left_out(int(part.data)).decode()
        return "o", self._decode(part.data)

    def _begin(self) -> FileIO:
        file = self._file = self._path.open("wb", buffering=0)
        self._began = asyncio.get_running_loop().time()
        columns, rows = self._terminal.size
        head = {"version": 2, "width": columns, "height": rows, "timestamp": now_ms() // 1000}
        self._line(file, {**head, "title": self._title})
        return file

    def _add(self, file: FileIO, kind: str, text: str) -> None:
        if self._full or not text:
            return
        seconds = round(asyncio.get_running_loop().time() - self._began, 3)
        line = [seconds, kind, text]
        if self._written + len(msgspec.json.encode(line)) > self._most - LAST_WORDS_BYTES:
            self._full = True
            words = f"\x1b[0m\r\n\x1b[7m the recording ends here: {self._most:,} bytes are full \x1b[0m\r\n"
            line = [seconds, "o", words]
        self._line(file, line)

    def _line(self, file: FileIO, content: Any) -> None:
        line = msgspec.json.encode(content) + b"\n"
        file.write(line)
        self._written += len(line)


@contextlib.asynccontextmanager
async def recorded(run: TaskRun) -> AsyncIterator[None]:
    """Inside the block the run's terminal is recorded; the recording is stored however the block ends."""
    ctx, most = run.ctx, run.ctx.settings.terminal_recording_max_bytes
    if not most:
        yield
        return
    path = run.place.recording
    title = f"{ctx.job.id}, attempt {ctx.lease_token}"
    most = min(most, ctx.settings.max_artifact_bytes)
    try:
        with Recording(path, ctx.terminal, title=title, most=most).hearing():
            yield
    finally:
        if path.exists():
            name = f"terminal/attempt-{ctx.lease_token}.cast"
            await run.store(name, path, content_type=CONTENT_TYPE)
