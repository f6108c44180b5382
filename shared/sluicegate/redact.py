"""Replaces secrets by `[redacted]` before anything is stored or sent (H-13, 70-31).

Secrets are known values (of the variables in SLUICEGATE_SECRET_ENV, of resolved auth references) and
strings with the shape of a token. `Redactor.stream` does the same to output that comes in pieces: what
it gives out is, byte for byte, what redacting the whole would have given, however it was split.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final
from urllib.parse import quote, quote_plus

import orjson

from sluicegate.secret_search import Match, Search
from sluicegate.secret_shapes import LOOK_BEHIND

MARK: Final = b"[redacted]"
MIN_VALUE: Final = 4
"""A known value shorter than this is not replaced: it would blank out half of every text."""
MIN_LINE: Final = 8


class Redactor:
    """Knows the secrets of one process or one job. `add` may come at any time; nothing is forgotten."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values: frozenset[bytes] = frozenset()
        self.add(*secrets)

    @classmethod
    def from_environment(cls, names: Iterable[str], environ: Mapping[str, str] | None = None) -> Redactor:
        """Knows the values of these variables: those that `secret_env` names."""
        environ = os.environ if environ is None else environ
        return cls(environ[name] for name in names if environ.get(name))

    def add(self, *secrets: str) -> None:
        """Also replace these values, from the next call on; also in streams that are open."""
        given = {_bytes(secret) for secret in secrets} | {_bytes(secret.strip()) for secret in secrets}
        known = self._values | {value for value in given if len(value.strip()) >= MIN_VALUE}
        if known != self._values:
            self._values = known
            self.__dict__.pop("search", None)

    @property
    def knows_any(self) -> bool:
        """Whether there is any known value."""
        return bool(self._values)

    @cached_property
    def search(self) -> Search:
        return Search(_longest_first({form for value in self._values for form in _forms(value)}))

    def text(self, text: str) -> str:
        return self.data(_bytes(text)).decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        if not self.search.suspects(data):
            return data
        return _replaced(data, self.search.matches(data), 0, len(data))

    def copy(self) -> Redactor:
        """Another that knows the same; what is added to it stays its own."""
        other = Redactor()
        other.__dict__.update(self.__dict__)
        return other

    def stream(self) -> RedactedStream:
        return RedactedStream(self)


class RedactedStream:
    """Redacts bytes that come in pieces. Holds back only what may be the beginning of a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept = b""
        self._given = 0
        """So many of the bytes that are kept were given out: they are the surroundings of what comes."""
        self._peeked = 0
        """So many of the bytes behind those were shown already to who watches."""
        self.live = b""
        """What was given out last, without the bytes that `peek` had shown."""

    @property
    def held(self) -> int:
        """So many bytes are held back that nobody was shown."""
        return len(self._kept) - self._given - self._peeked

    def peek(self, most: int) -> bytes:
        """What is held back, but for what was shown, up to `most` bytes of it: for who watches live.

        It stays held back for everybody else, and a secret that it turns out to begin is still found: its
        mark then comes behind the bytes that were shown. Ask for no more than may be seen of a secret.
        """
        start = self._given + self._peeked
        shown = self._kept[start : self._given + most]
        self._peeked += len(shown)
        return shown

    def feed(self, chunk: bytes) -> bytes:
        """What can be given out now."""
        search = self._redactor.search
        data = self._kept + chunk
        suspected = search.suspects(data)
        hold = search.undecided(data, self._given, suspected=suspected)
        return self._give(data, hold, search.matches(data, self._given) if suspected else ())

    def close(self) -> bytes:
        """The rest: nothing more will come."""
        data = self._kept
        return self._give(data, len(data), self._redactor.search.matches(data, self._given))

    def _give(self, data: bytes, hold: int, found: Sequence[Match]) -> bytes:
        """Gives out `data` up to `hold`, and no part of a match that may still grow or change."""
        start, settled = self._given, len(data) - self._redactor.search.reach
        hold = max(hold, settled)
        taken: list[Match] = []
        for match in found:
            if match.start >= hold:
                break
            if match.end > hold and match.start >= settled:
                hold = match.start
                break
            taken.append(match)
        if taken:
            hold = max(hold, taken[-1].end)
            self._note(data, taken)
        keep = max(0, hold - LOOK_BEHIND)
        self._kept, self._given = data[keep:], hold - keep
        out = _replaced(data, taken, start, hold)
        self.live = _replaced(data, taken, start + self._peeked, hold) if self._peeked else out
        self._peeked = max(0, start + self._peeked - hold)
        return out

    def _note(self, data: bytes, taken: Sequence[Match]) -> None:
        """What was found and is replaced."""


class SecretFinder(RedactedStream):
    """Which secrets have gone by. values: known ones, as they stood there. tokens: shapes, not in URLs."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(redactor)
        self.values: set[bytes] = set()
        self.tokens: set[bytes] = set()

    def look(self, data: bytes) -> SecretFinder:
        """All of some content at once."""
        self.feed(data)
        self.close()
        return self

    def _note(self, data: bytes, taken: Sequence[Match]) -> None:
        for match in taken:
            if not match.in_url:
                (self.values if match.shape is None else self.tokens).add(data[match.start : match.end])


def _replaced(data: bytes, found: Sequence[Match], start: int, end: int) -> bytes:
    parts, place = [], start
    for match in found:
        if match.end > start:
            parts += [data[place : match.start], _instead(match)]
            place = match.end
    return b"".join([*parts, data[place:end]]) if parts else data[start:end]


def _instead(match: Match) -> bytes:
    return b"://" + MARK + b"@" if match.in_url else MARK


def _forms(value: bytes) -> Iterator[bytes]:
    """How a value may stand in a text: as it is, in a URL, in JSON, in base64, and line by line.

    The lines are for terminals, which put a carriage return before each end of line.
    """
    text = value.decode("utf-8", "replace")
    yield value
    yield from (quoted(value).encode() for quoted in (quote, quote_plus, lambda each: quote(each, safe="")))
    yield from (orjson.dumps(text)[1:-1], json.dumps(text)[1:-1].encode())
    yield base64.b64encode(value)
    if b"\n" in value:
        yield from (line for line in map(bytes.strip, value.splitlines()) if len(line) >= MIN_LINE)


def _longest_first(values: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(values, key=lambda value: (-len(value), value)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
