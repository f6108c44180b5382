"""A person's terminal on a live session: the command that was told, on a pseudo-terminal of its own."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager


class Attached:
    """`screen` is all that was shown so far."""

    def __init__(self, command: str, columns: int = 140, rows: int = 70) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self._ours, False)
        self.process = subprocess.Popen(
            shlex.split(command), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(theirs)
        self._seen = b""

    @property
    def screen(self) -> str:
        try:
            while more := os.read(self._ours, 65536):
                self._seen += more
        except OSError:
            pass  # nothing more just now, or for ever
        return self._seen.decode(errors="replace")

    @property
    def is_in(self) -> bool:
        return bool(self.screen) and self.process.poll() is None

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)
        self.process.wait(10)
        os.close(self._ours)


@contextmanager
def attached(command: str | None) -> Iterator[Attached]:
    assert command is not None
    person = Attached(command)
    try:
        yield person
    finally:
        person.close()
