"""What a command's output looks like when it has ended: the lines that a reader would have seen last."""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])"
    r"|\x9b[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
_UP: Final = re.compile(r"(?:\x1b\[|\x9b)(\d*)A")
_BACKSPACES: Final = re.compile(r"[^\x08\n\r]\x08")
_MOST_LINES_UP: Final = 200
_HALF_A_LINE: Final = 1000


def lines(output: bytes | str) -> list[str]:
    """The output's lines without colours and control codes.

    Of a line that was drawn again and again only what was drawn last is left: a spinner says nothing new.
    Of a very long line the beginning and the end are left.
    """
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    seen: list[str] = []
    for raw in text.split("\n"):
        for number in _UP.findall(raw):
            # What follows is drawn over the lines above.
            up = min(int(number or 1), _MOST_LINES_UP, len(seen))
            del seen[len(seen) - up :]
        seen.append(_last_drawn(raw))
    return seen


def _last_drawn(raw: str) -> str:
    while "\x08" in raw and (shorter := _BACKSPACES.sub("", raw)) != raw:
        raw = shorter
    drawn = [part for part in (_CONTROLS.sub("", each) for each in raw.split("\r")) if part.strip()]
    line = drawn[-1].rstrip() if drawn else ""
    return line if len(line) <= 2 * _HALF_A_LINE else f"{line[:_HALF_A_LINE]} ... {line[-_HALF_A_LINE:]}"
