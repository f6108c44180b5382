"""Where secrets are in some data, and where one may have begun of which there is more to come."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from sluicegate.secret_shapes import REACH, SHAPES, SIEVE_BYTES, Sieve

WINDOWS: Final = (4096, 512)
"""What is suspected is looked at in ever smaller parts: the search for each secret is slow."""
HEAD_BYTES: Final = 8
"""So much of a literal is looked for first."""

_STARTS: Final = tuple(tuple(map(str.encode, shape.starts.split("|"))) for shape in SHAPES)
_PATTERNS: Final = tuple(re.compile(shape.pattern) for shape in SHAPES)
_TO_LAST_BLANK: Final = re.compile(rb"(?s:.*)\s")


def _open(*, over_blanks: bool) -> re.Pattern[bytes]:
    """A start behind which all that there is may still belong to a match."""
    return re.compile(
        b"|".join(
            b"%b(?:%b)%b\\Z" % (shape.behind, b"|".join(map(re.escape, starts)), shape.goes_on)
            for shape, starts in zip(SHAPES, _STARTS, strict=True)
            if shape.over_blanks == over_blanks
        )
    )


_OPEN: Final = _open(over_blanks=False)
_OPEN_OVER_BLANKS: Final = _open(over_blanks=True)
_STARTS_OVER_BLANKS: Final = tuple(
    start for shape, starts in zip(SHAPES, _STARTS, strict=True) if shape.over_blanks for start in starts
)


class Match(NamedTuple):
    """A secret in some data. rank: which of two that begin at the same place is taken."""

    start: int
    rank: int
    end: int
    shape: re.Match[bytes] | None
    """None for a known value."""

    @property
    def in_url(self) -> bool:
        """Whether it is the user and password of an address."""
        return self.shape is not None and self.shape.lastgroup == "user"


class Search:
    """For these forms of known values, the longest first, and for all shapes."""

    def __init__(self, forms: Sequence[bytes]) -> None:
        self._sieve = Sieve(forms)
        self._forms = len(forms)
        ranked = [*((form,) for form in forms), *_STARTS]
        self._literals = [
            (literal[:HEAD_BYTES], rank, literal) for rank, each in enumerate(ranked) for literal in each
        ]
        self._beginnings = Beginnings(literal for _, _, literal in self._literals)
        self.reach = max(REACH, len(forms[0]) if forms else 0)
        """No secret is longer than this."""

    def suspects(self, data: bytes) -> bool:
        """False when no secret begins in it but for those that its end cuts off; quick to say."""
        return self._sieve.holds_back(data)

    def matches(self, data: bytes, start: int = 0) -> list[Match]:
        """The secrets in `data` from `start` on, in order, none over another.

        What stands before `start` still counts as their surroundings. Of two that overlap the first is
        taken; of two that begin together a known value, the longest, before a shape.
        """
        found: list[Match] = []
        for first, last in self._suspected(data, start, len(data), WINDOWS):
            window = data[first : last + HEAD_BYTES - 1]
            for head, rank, literal in self._literals:
                if head in window:
                    found += self._at(data, literal, rank, first, last)
        return _first_of_each(found)

    def undecided(self, data: bytes, start: int, *, suspected: bool) -> int:
        """The first place in `data` where a secret may begin whose end is not seen yet; else its length.

        suspected: what `suspects` says of the data.
        """
        start = max(start, len(data) - self.reach)
        if start == len(data):
            return start
        place = self._beginnings.place(data, start)
        blank = _TO_LAST_BLANK.match(data, start)
        if begun := _OPEN.search(data, blank.end() if blank else start):
            place = min(place, begun.start())
        if not suspected or all(data.find(each, start) < 0 for each in _STARTS_OVER_BLANKS):
            return place
        begun = _OPEN_OVER_BLANKS.search(data, start)
        return min(place, begun.start()) if begun else place

    def _suspected(
        self, data: bytes, start: int, end: int, windows: Sequence[int]
    ) -> Iterator[tuple[int, int]]:
        """The parts of `data` from `start` to `end` within which secrets may begin."""
        if len(windows) > 1 and end - start <= windows[0]:
            windows = windows[1:]
        for at in range(start, end, windows[0]):
            last = min(at + windows[0], end)
            if self.suspects(data[at : last + SIEVE_BYTES]):
                if windows[1:]:
                    yield from self._suspected(data, at, last, windows[1:])
                else:
                    yield at, last

    def _at(self, data: bytes, literal: bytes, rank: int, first: int, last: int) -> Iterator[Match]:
        """The matches of a form, or of a shape by its start, that begin from `first` to before `last`."""
        shape, end = rank - self._forms, last + len(literal) - 1
        at = data.find(literal, first, end)
        while at >= 0:
            if shape < 0:
                yield Match(at, rank, at + len(literal), None)
            elif match := _PATTERNS[shape].match(data, at):
                yield Match(at, rank, match.end(), match)
            at = data.find(literal, at + 1, end)


class Beginnings:
    """Tells where the end of some data may be the beginning of one of these literals."""

    def __init__(self, literals: Iterable[bytes]) -> None:
        self._firsts: set[bytes] = set()
        self._by_pair: dict[bytes, set[bytes]] = {}
        for literal in literals:
            self._firsts.add(literal[:1])
            for at in range(len(literal) - 2):
                self._by_pair.setdefault(literal[at : at + 2], set()).add(literal)

    def place(self, data: bytes, start: int) -> int:
        """The first place from `start` on where one begins of which there is more to come; else the end."""
        place = len(data) - (data[-1:] in self._firsts)
        for literal in self._by_pair.get(data[-2:], ()):
            place = min(place, _partial(data, literal, start))
        return place


def _first_of_each(found: list[Match]) -> list[Match]:
    """Without those that begin within another."""
    found.sort(key=lambda match: match[:2])
    taken, end = [], 0
    for match in found:
        if match.start >= end:
            taken.append(match)
            end = match.end
    return taken


def _partial(data: bytes, literal: bytes, start: int) -> int:
    """Where the end of `data` is the beginning, and not the whole, of `literal`."""
    place = data.find(literal[:1], max(start, len(data) - len(literal) + 1))
    while place >= 0:
        if literal.startswith(data[place:]):
            return place
        place = data.find(literal[:1], place + 1)
    return len(data)
