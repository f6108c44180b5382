"""What of a job's history somebody wants to see: filters and a search, the same on the page and live.

Who searches is shown lines, whole ones also where they came in two pieces. All else is shown as it came.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup
from msgspec import Meta, Struct

from services.control.dashboard.pieces import Piece, plain_text
from sluicegate.model import Event
from sluicegate.store import events, positions
from sluicegate.store.connection import Store
from sluicegate.store.positions import Position, entry_id, position

Show = Literal["all", "stages", "logs", "warnings"]
SHOWS: Final[tuple[tuple[Show, str], ...]] = (
    ("all", "All"), ("stages", "Stages"), ("logs", "Logs"), ("warnings", "Warnings"),
)  # fmt: skip
MOST_PIECES: Final = 1_000
MOST_CHARACTERS: Final = 400_000
"""That a page shows at once, and that one message of its stream adds."""
MOST_READ: Final = 20_000
"""Events that a search reads for one page: about what the limits of logs let a job have."""
READ: Final = 500
LONGEST_LINE: Final = 16_384
_MARK: Final = Markup("<mark>{}</mark>")
_CUT: Final = Markup('<p class="cut">{} pieces came faster than they can be read, and are left out here.</p>')


class OutputQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """What of the history is shown. before: an event; then only what came before it, and nothing live."""

    show: Show = "all"
    q: Annotated[str, Meta(max_length=200)] = ""
    before: str | None = None

    def address(self, path: str, **changed: str | None) -> str:
        """With what is changed; what is as it is anyway is left out."""
        values: dict[str, str | None] = {"show": self.show, "q": self.q, **changed}
        given = {name: value for name, value in values.items() if value and (name, value) != ("show", "all")}
        return f"{path}?{urlencode(given)}" if given else path


class View:
    """Give it the pieces in order: what it returns is what is shown of each."""

    def __init__(self, asked: OutputQuery) -> None:
        self._show, self._q = asked.show, asked.q.strip()
        self._pattern = re.compile(re.escape(self._q), re.IGNORECASE)
        self._place = ""
        self._begun: dict[str, str] = {}
        """Of each stream the line that has no end yet."""
        self._cut: dict[str, str] = {}
        """Of each stream the escape sequence that has no end yet."""

    def wants(self, piece: Piece) -> bool:
        """Whether something of it is shown, as far as one piece alone can tell."""
        if (self._show == "stages" and piece.output) or (self._show == "logs" and not piece.output):
            return False
        if self._show == "warnings" and not piece.warns:
            return False
        return not self._q or self._pattern.search(piece.text) is not None

    def take(self, piece: Piece) -> Markup:
        if piece.output and self._q and self._show != "stages":
            return self._lines(piece) if self._show != "warnings" or piece.warns else Markup()
        if not self.wants(piece):
            return Markup()
        if piece.output:
            text = self._text(piece)
            return self._heading(piece) + (piece.html if text is piece.text else piece.out(text))
        return piece.said(self._marked(piece.text)) if self._q else piece.html

    def _lines(self, piece: Piece) -> Markup:
        text = self._begun.pop(piece.style, "") + self._text(piece)
        *whole, begun = text.split("\n")
        if len(begun) > LONGEST_LINE:
            whole.append(begun)
        elif begun:
            self._begun[piece.style] = begun
        found = [piece.line(self._marked(line)) for line in whole if self._pattern.search(line)]
        return self._heading(piece) + Markup().join(found) if found else Markup()

    def _text(self, piece: Piece) -> str:
        """Without the rest of a sequence that the piece before it has begun."""
        cut = self._cut.pop(piece.style, "")
        if piece.cut:
            self._cut[piece.style] = piece.cut
        return plain_text(cut + piece.text) if cut else piece.text

    def rest(self, last: Piece) -> Markup:
        """The lines that have no end, at the end of a page."""
        found = [line for line in self._begun.values() if self._pattern.search(line)]
        return Markup().join(last.line(self._marked(line)) for line in found)

    def _heading(self, piece: Piece) -> Markup:
        """Where output comes from, whenever that changes and no event between says so."""
        if piece.place == self._place or (self._show == "all" and not self._q):
            return Markup()
        self._place = piece.place
        return piece.where() if piece.place else Markup()

    def _marked(self, text: str) -> Markup:
        marked, at = Markup(), 0
        for found in self._pattern.finditer(text):
            marked += Markup.escape(text[at : found.start()]) + _MARK.format(found[0])
            at = found.end()
        return marked + Markup.escape(text[at:])


class Shown(NamedTuple):
    """Part of a history. earlier: the event before which there is more, if there is. last: the newest one."""

    html: Markup
    earlier: str | None
    last: str
    searched: int


async def latest(store: Store, job_id: str, asked: OutputQuery, make: Callable[[Event], Piece]) -> Shown:
    """What is shown of the end of a job's history, bounded. Raises NotFound, Invalid (before)."""
    view, kept = View(asked), deque[Piece]()
    newest = await events.newest(store, job_id)  # before the rest is read: what comes meanwhile comes live
    before = None if asked.before is None else positions.before("before", asked.before)
    read_back = _without_output if asked.show in ("stages", "warnings") else _all
    read = wanted = characters = 0
    more = True
    while more:
        part, before, more = await read_back(store, job_id, before)
        read += READ if more else len(part)
        for event in part:
            kept.appendleft(piece := make(event))
            if view.wants(piece):
                wanted, characters = wanted + 1, characters + len(piece)
            if wanted >= MOST_PIECES or characters >= MOST_CHARACTERS:
                before, more = position(piece.id), True
                break
        else:
            if read < MOST_READ:
                continue
        break
    html = Markup().join(view.take(piece) for piece in kept)
    if kept:
        html += view.rest(kept[-1])
    begun = not more or (kept and kept[0].kind == "job.enqueued")
    earlier = None if begun or before is None else entry_id(before)
    if kept and asked.before is None:
        newest = max(newest, position(kept[-1].id))
    return Shown(html, earlier, entry_id(newest), read)


async def _all(
    store: Store, job_id: str, before: Position | None
) -> tuple[list[Event], Position | None, bool]:
    """The last events before a place, newest first; the place that they reach; whether there is more."""
    found = await events.between(store, job_id, None, before, sort="desc", limit=READ)
    return found, position(found[-1].id) if found else before, len(found) == READ


async def _without_output(
    store: Store, job_id: str, before: Position | None
) -> tuple[list[Event], Position | None, bool]:
    found, upto = await events.without_output(store, job_id, None, before, sort="desc", limit=READ)
    if upto is None:  # what is left is the first event, which is not stored
        return (*(await _all(store, job_id, before))[:2], False)
    return found, upto, True


def fresh(view: View, pieces: Iterable[Piece]) -> Markup:
    """What is shown of pieces that have just come: of too many the last ones, and how many are left out."""
    shown, characters, left_out = deque[Markup](), 0, 0
    for piece in pieces:
        if html := view.take(piece):
            shown.append(html)
            characters += len(html)
            while len(shown) > MOST_PIECES or characters > MOST_CHARACTERS:
                characters -= len(shown.popleft())
                left_out += 1
    return (_CUT.format(f"{left_out:,}") if left_out else Markup()) + Markup().join(shown)
