"""A job's events as its page shows them, each made once for all who look. Everything in them is text."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Final

from markupsafe import Markup

from services.control.dashboard.rendering import at
from sluicegate.model import Event
from sluicegate.operations import timeline

_CONTROL: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*(?:[@-~]|\Z)|\x1b[ -/]+[0-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]|"
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
"""Colours, cursor movements, titles: what a terminal obeys and a page cannot."""
_UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[ -/]*)\Z")
_PLAIN: Final = re.compile(r"[\n\x20-\x7e]*")
_OUT: Final = Markup('<span class="{}">{}</span>')
_SAID: Final = Markup('<p class="said {}">{} <span class="message">{}</span> <code>{}</code></p>')
_LINE: Final = Markup('<p class="found {}">{} <span class="message">{}</span></p>')
_PLACE: Final = Markup('<p class="place">{} {}</p>')
SAID_MOST: Final = 4_000
"""Characters of an event's sentence that are shown; the API has it all."""


class Piece:
    """One event. output: it is something that a command put out. text: what of it is read and searched.

    cut: the beginning of an escape sequence at its end; the next piece of the stream has the rest.
    """

    def __init__(self, event: Event) -> None:
        payload: dict[str, Any] = event.payload or {}
        self.id = event.id
        self.created_at = event.created_at
        self.kind = str(payload.get("kind", ""))
        self.output = self.kind == "log"
        self.warns = event.level in ("warn", "error")
        self.story = timeline.matters(self.kind)
        """Whether it changes the timeline."""
        if self.output:
            text = payload.get("text", event.message)
            self.style = "stderr" if payload.get("stream") == "stderr" else "stdout"
        else:
            text = event.message
            text = text if len(text) <= SAID_MOST else f"{text[:SAID_MOST]} …"
            self.style = event.level
        self._payload = payload if self.output else {}
        self.text = plain_text(str(text))
        unfinished = _UNFINISHED.search(str(text)) if self.output else None
        self.cut = unfinished[0] if unfinished else ""

    def __len__(self) -> int:
        return len(self.text) + 300

    @cached_property
    def place(self) -> str:
        """Where output comes from, in words; empty for anything else."""
        return _place(self._payload)

    @cached_property
    def html(self) -> Markup:
        return self.out(self.text) if self.output else self.said(self.text)

    def out(self, text: str) -> Markup:
        """Output as it came, being `text`."""
        return _OUT.format(self.style, text)

    def said(self, text: str | Markup) -> Markup:
        """An event that is no output, its sentence being `text`."""
        return _SAID.format(self.style, at(self.created_at), text, self.kind or "event")

    def line(self, text: Markup) -> Markup:
        """One line of output by itself."""
        return _LINE.format(self.style, at(self.created_at), text)

    def where(self) -> Markup:
        """A heading: what puts out what follows."""
        return _PLACE.format(at(self.created_at), self.place)


def plain_text(text: str) -> str:
    """Terminal output without escape sequences; a carriage return starts a new line."""
    if _PLAIN.fullmatch(text):
        return text
    return _CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def _place(payload: dict[str, Any]) -> str:
    """`execute, step 2 (build), attempt 1`, as far as that is known."""
    parts = [str(payload["stage"])] if payload.get("stage") else []
    if isinstance(index := payload.get("stepIndex"), int):
        parts.append(f"step {index + 1} ({payload.get('stepId', '')})")
    if isinstance(attempt := payload.get("attempt"), int):
        parts.append(f"attempt {attempt}")
    return ", ".join(parts)[:300]
