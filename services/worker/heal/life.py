"""What in a terminal's output is a sign of life: all of it, but what is drawn again with nothing new in it.

A spinner that turns, and a clock that ticks beside it, say that a terminal is being painted, not that work
goes on. A bar that grows, a counter that rises, a line that scrolls by, even the same one again, are work.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

MOST_FACES: Final = 4096
"""Drawings that are remembered: more than a spinner has frames, times what it says beside them."""
READ_BYTES: Final = 8 * 1024
"""Of a longer chunk only the end is read: a frame is shorter, and reading takes time."""
WHOLE_SCREEN: Final = 10_000

_TOKENS: Final = re.compile(
    rb"(?P<line>\r*\n)"
    rb"|\x1b\[(?P<up>\d*)[AF]"
    rb"|(?P<screen>\x1b\[[\d;]*[Hfd]|\x1b\[[23]J)"
    rb"|(?P<again>\r+|\x08+|\x1b[8M]|\x1b\[[\d;]*[DGJLMPXu]|\x1b\[[12]K)"
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\x00-\x07\x0b-\x1f\x7f]"
)
"""A line's end; three ways back to what was drawn before; then colours, titles and the like."""
_UNFINISHED: Final = re.compile(rb"(?:\r+|\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,1024}|[ -/]*)?)\Z")
_CLOCK: Final = re.compile(
    rb"(?<![\w.])(?:\d+(?::\d\d)+(?:[.,]\d+)?"
    rb"|\d+(?:[.,]\d+)?\s?(?:ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b"
    rb"|\d+(?:[.,]\d+)?\s?(?:[kKMG]i?)?(?:B|it)/s\b)"
)
"""Times and speeds: they change while nothing else does."""


class Redraws:
    """Tells what is new in the output of one command."""

    def __init__(self) -> None:
        self._faces: OrderedDict[int, None] = OrderedDict()
        self._again = False
        """Whether something was drawn before where the next text will stand."""
        self._below = 0
        """Lines below of which that is true too."""
        self._text = b""
        self._unfinished = b""

    def alive(self, chunk: bytes) -> bool:
        """Whether there is anything new in the next chunk of output."""
        if not self._again and not self._unfinished and _scrolls(chunk):
            self._text = chunk[-READ_BYTES:].rpartition(b"\n")[2]
            return bool(chunk.strip(b"\0\a"))
        data = (self._unfinished + chunk)[-READ_BYTES:]
        cut = _UNFINISHED.search(data)
        data, self._unfinished = (data[: cut.start()], cut[0]) if cut else (data, b"")
        alive, at = False, 0
        for token in _TOKENS.finditer(data):
            alive |= self._add(data[at : token.start()])
            alive |= self._move(token)
            at = token.end()
        return self._add(data[at:]) or alive

    def skip(self) -> None:
        """A chunk is not looked at, since there was something new just before."""
        self._text = self._unfinished = b""

    def _add(self, text: bytes) -> bool:
        """More text in the line; whether that makes it new."""
        self._text += text
        shown = _CLOCK.sub(b"", self._text).strip() if text else b""
        if not shown:
            return False
        face = hash(shown)
        known = face in self._faces
        self._faces[face] = None
        self._faces.move_to_end(face)
        if len(self._faces) > MOST_FACES:
            self._faces.popitem(last=False)
        if self._again and known:
            return False
        self._again, self._below = False, 0
        return True

    def _move(self, token: re.Match[bytes]) -> bool:
        """The cursor goes elsewhere; whether that in itself is new, as the next line is."""
        kind = token.lastgroup
        if kind is None:
            return False
        self._text = b""
        if kind == "line":
            scrolls = not self._again
            self._again = self._below > 0
            self._below = max(0, self._below - 1)
            return scrolls
        self._again = True
        if kind == "screen":
            self._below = WHOLE_SCREEN
        elif kind == "up":
            self._below += min(int(token["up"] or 1), WHOLE_SCREEN)
        return False


def _scrolls(chunk: bytes) -> bool:
    """Whether it only adds lines, and text to the last one: by far the most of what commands put out."""
    return b"\x1b" not in chunk and b"\x08" not in chunk and chunk.count(b"\r") == chunk.count(b"\r\n")
