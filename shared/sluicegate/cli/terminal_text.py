"""Text that came from a job, made safe for the terminal it is shown on.

A job's output may hold escape sequences that retitle the window, move the cursor or fill the clipboard.
"""

from __future__ import annotations

import re
from typing import Final

_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC: up to their end
    r"|\x1b[ -/]*[0-~]",  # two-character escapes
    re.DOTALL,
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_STARTED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z")
LONGEST_SEQUENCE: Final = 4096


def plain(text: str) -> str:
    """One line without any control character: for a cell of a table."""
    return _CONTROL.sub("", _SEQUENCE.sub("", re.sub(r"[\r\n\t]+", " ", text))).strip()


class TerminalText:
    """A stream of output in which only colours, line ends and tabs still control anything.

    Keeps a sequence that a chunk cuts in two until its rest comes.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, chunk: str) -> str:
        text = self._held + chunk
        self._held = ""
        started = _STARTED.search(text)
        if started is not None and len(text) - started.start() <= LONGEST_SEQUENCE:
            self._held = text[started.start() :]
            text = text[: started.start()]
        return "".join(self._safe(text))

    @staticmethod
    def _safe(text: str) -> list[str]:
        parts: list[str] = []
        at = 0
        for found in _SEQUENCE.finditer(text):
            parts.append(_CONTROL.sub("", text[at : found.start()]))
            if _COLOUR.fullmatch(found[0]):
                parts.append(found[0])
            at = found.end()
        parts.append(_CONTROL.sub("", text[at:]))
        return parts
