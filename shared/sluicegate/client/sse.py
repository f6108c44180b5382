"""Server-Sent Events from bytes, however the network cuts them (WHATWG HTML, 9.2.6)."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator

from msgspec import Struct


class Message(Struct, frozen=True):
    """One dispatched event: its name (`message` unless given), its data, the last id seen so far."""

    event: str
    data: str
    id: str | None


class Parser:
    """Turns chunks into messages. A message that the connection cuts off is never dispatched."""

    def __init__(self) -> None:
        self._decode = getincrementaldecoder("utf-8-sig")("replace").decode
        self._rest = ""
        self._event = ""
        self._data: list[str] = []
        self.last_id: str | None = None

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that this chunk completes."""
        for line in self._lines(self._decode(chunk)):
            if line:
                self._field(line)
            elif (message := self._dispatch()) is not None:
                yield message

    def _lines(self, text: str) -> list[str]:
        # A chunk may end between CR and LF: keep that CR, or the LF would count as a second, empty line.
        text = self._rest + text
        held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix(held) if held else text
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = rest + held
        return lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_id = value or None

    def _dispatch(self) -> Message | None:
        event, data = self._event or "message", self._data
        self._event, self._data = "", []
        # The standard drops an event without data; ours may end with a bare `event: end`, which counts.
        if not data and event == "message":
            return None
        return Message(event=event, data="\n".join(data), id=self.last_id)
