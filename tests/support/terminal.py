"""A command at a terminal: its keyboard, and the screen as a person sees it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyte


class Terminal:
    """The screen of one command, and how to type into it."""

    def __init__(self, popen: subprocess.Popen[bytes], end: int, columns: int, lines: int) -> None:
        self._popen = popen
        self._end = end
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    @property
    def is_cooked(self) -> bool:
        """Whether it takes whole lines, as before a command made it raw."""
        return bool(termios.tcgetattr(self._end)[3] & termios.ICANON)

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def until(self, text: str, seconds: float = 20.0) -> None:
        """Wait until the screen shows the text."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not appear within {seconds:g} s:\n{self.text}"
            assert self._read(left) or text in self.text, f"it ended without {text!r}:\n{self.text}"

    def ended(self, seconds: float = 20.0) -> int:
        """The exit status, once everything it said is on the screen."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"it did not end within {seconds:g} s:\n{self.text}"
        return self._popen.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        """Take in what comes next; False once nobody is left to write."""
        if not select.select([self._end], [], [], max(0.0, min(seconds, 0.5)))[0]:
            return True
        with contextlib.suppress(OSError):  # EIO: the last one has closed the terminal
            if content := os.read(self._end, 65536):
                self._stream.feed(content)
                return True
        return False


@contextmanager
def terminal(
    words: Sequence[str], *, env: Mapping[str, str], columns: int = 100, lines: int = 24
) -> Iterator[Terminal]:
    """Run a command whose stdin, stdout and stderr are one terminal; what is left of it is killed."""
    end, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    try:
        popen = subprocess.Popen(
            list(words), stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True,
            env=_at_terminal(env), preexec_fn=_take_control,  # noqa: PLW1509
        )  # fmt: skip
    finally:
        os.close(its_end)
    try:
        yield Terminal(popen, end, columns, lines)
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.wait(10)
        os.close(end)


def _take_control() -> None:
    # Without a controlling terminal Ctrl-C would be a character and no signal.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Tests in the background of a shell ignore SIGINT, and what they start would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _at_terminal(env: Mapping[str, str]) -> dict[str, str]:
    """Without the size of another terminal, which a process of the tests may have in its environment."""
    own = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
    return {**own, "TERM": "xterm-256color"}
