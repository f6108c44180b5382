"""Replaces secrets by `[redacted]` before anything is stored or sent (H-13, 70-31).

Secrets are known values (of the variables in SLUICEGATE_SECRET_ENV, of resolved auth references) and
strings with the shape of a token. `Redactor.stream` does the same to output that comes in pieces: what
it gives out is, byte for byte, what redacting the whole would have given, however it was split.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

import orjson

MARK: Final = b"[redacted]"
MIN_VALUE: Final = 4
"""A known value shorter than this is not replaced: it would blank out half of every text."""
MIN_LINE: Final = 8
REACH: Final = 16 * 1024
"""No shape is longer than this, so that a stream holds back at most this much."""


MAX_PATTERNS: Final = 64


class _Shape(NamedTuple):
    starts: tuple[bytes, ...]
    """Literals, one of which begins every match: where a stream has to wait for more."""
    pattern: bytes
    end: bytes = rb"\s"
    """What settles, once seen behind the start, that no match can grow any further."""


_NOT_IN_WORD: Final = rb"(?<![A-Za-z0-9_])"
_SHAPES: Final = (
    _Shape((b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"), _NOT_IN_WORD + rb"gh[opusr]_[A-Za-z0-9]{16,255}"),
    _Shape((b"github_pat_",), _NOT_IN_WORD + rb"github_pat_[A-Za-z0-9_]{16,255}"),
    _Shape(
        tuple(b"gl%s-" % kind for kind in (b"pat", b"dt", b"rt", b"cbt", b"ptt", b"ft", b"soat", b"oas")),
        _NOT_IN_WORD + rb"gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas)-[A-Za-z0-9_.-]{16,255}",
    ),
    _Shape((b"AKIA", b"ASIA"), _NOT_IN_WORD + rb"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _Shape((b"sk-",), _NOT_IN_WORD + rb"sk-(?=[A-Za-z_-]{0,250}[0-9])[A-Za-z0-9_-]{16,512}"),
    _Shape(
        tuple(b"xox%c-" % kind for kind in b"abeoprs"),
        _NOT_IN_WORD + rb"xox[abeoprs]-[A-Za-z0-9-]{10,255}",
    ),
    _Shape((b"xapp-",), _NOT_IN_WORD + rb"xapp-[A-Za-z0-9-]{10,255}"),
    _Shape((b"hooks.slack.com/",), rb"hooks\.slack\.com/services/[A-Za-z0-9/_-]{16,255}"),
    _Shape((b"AIza",), _NOT_IN_WORD + rb"AIza[A-Za-z0-9_-]{35}"),
    _Shape((b"sgwt_", b"sgop_"), _NOT_IN_WORD + rb"sg(?:wt|op)_[A-Za-z0-9_-]{8,255}"),
    _Shape(
        (b"eyJ",),
        _NOT_IN_WORD + rb"eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,2000}",
    ),
    _Shape(
        (b"-----BEGIN ",),
        rb"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY-----"
        rb"(?:(?:(?!-----(?:BEGIN|END) )[\s\S]){0,12000}-----END [A-Z0-9 ]{0,32}PRIVATE KEY-----"
        rb"|(?:[A-Za-z0-9+/=\s\\:,]|-(?!-)){0,12000})",
        end=rb"-----END [A-Z0-9 ]{0,50}-----",
    ),
    _Shape(
        (b"://",),
        rb"://(?P<user>[^\s/@:\"'<>]{0,256}:[^\s/@\"'<>]{1,1024}@"
        rb"|(?:(?<=http://)|(?<=https://))[^\s/@:\"'<>]{1,1024}@)",
        end=rb"[\s/@\"'<>]",
    ),
)
_LOOK_BEHIND: Final = 8
_STARTS: Final = tuple((start, shape) for shape in _SHAPES for start in shape.starts)
_BEGINNINGS: Final = frozenset(start[:length] for start, _ in _STARTS for length in range(1, len(start)))
_LONGEST_START: Final = max(len(start) for start, _ in _STARTS)


class Redactor:
    """Knows the secrets of one process or one job. `add` may come at any time; nothing is forgotten."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values: set[bytes] = set()
        self._forms: tuple[bytes, ...] = ()
        self._patterns: dict[tuple[bytes, ...], re.Pattern[bytes]] = {}
        self.add(*secrets)

    @classmethod
    def from_environment(cls, names: Iterable[str], environ: Mapping[str, str] | None = None) -> Redactor:
        """Knows the values of these variables: those that `secret_env` names."""
        environ = os.environ if environ is None else environ
        return cls(environ[name] for name in names if environ.get(name))

    def add(self, *secrets: str) -> None:
        """Also replace these values, from the next call on; also in streams that are open."""
        fresh = {_bytes(secret) for secret in secrets} | {_bytes(secret.strip()) for secret in secrets}
        fresh = {value for value in fresh if len(value.strip()) >= MIN_VALUE} - self._values
        if fresh:
            self._values |= fresh
            forms = {form for value in self._values for form in _forms(value)}
            self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
            self._patterns = {}

    @property
    def values(self) -> tuple[bytes, ...]:
        """The known values, longest first, as they would stand in a file."""
        return tuple(sorted(self._values, key=lambda value: (-len(value), value)))

    def text(self, text: str) -> str:
        return self.data(_bytes(text)).decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        pattern = self._pattern(data)
        return pattern.sub(_replacement, data) if pattern else data

    def copy(self) -> Redactor:
        """Another that knows the same; what is added to it stays its own."""
        other = Redactor()
        other._values, other._forms = set(self._values), self._forms
        return other

    def stream(self) -> RedactedStream:
        return RedactedStream(self)

    def matches(self, data: bytes, start: int) -> Iterator[re.Match[bytes]]:
        """The secrets in `data` from `start` on; what stands before still counts as their surroundings."""
        pattern = self._pattern(data)
        return pattern.finditer(data, start) if pattern else iter(())

    def _pattern(self, data: bytes) -> re.Pattern[bytes] | None:
        """All that can match in `data`. Looking for literals first is many times faster than one pattern."""
        shapes = dict.fromkeys(shape.pattern for start, shape in _STARTS if start in data)
        parts = (*(re.escape(form) for form in self._forms if form in data), *shapes)
        if not parts:
            return None
        if parts not in self._patterns:
            if len(self._patterns) >= MAX_PATTERNS:
                self._patterns.clear()
            self._patterns[parts] = re.compile(b"|".join(parts))
        return self._patterns[parts]

    @property
    def reach(self) -> int:
        """No secret is longer than this."""
        return max(REACH, len(self._forms[0]) if self._forms else 0)

    def undecided(self, data: bytes) -> int:
        """The first place in `data` where a secret may begin whose end is not seen yet; else its length."""
        place = len(data)
        for length in range(min(_LONGEST_START, place), 0, -1):
            if data[-length:] in _BEGINNINGS:
                place -= length
                break
        settled: dict[bytes, int] = {}
        for start, shape in _STARTS:
            if start in data:
                if shape.end not in settled:
                    settled[shape.end] = _last(data, shape.end)
                found = data.find(start, max(0, settled[shape.end] - len(start) + 1))
                place = min(place, found if found >= 0 else place)
        for form in self._forms:
            place = min(place, _partial(data, form))
        return place


class RedactedStream:
    """Redacts bytes that come in pieces. Holds back only what may be the beginning of a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._before = b""
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What can be given out now."""
        data = self._held + chunk
        return self._give(data, self._redactor.undecided(data))

    def close(self) -> bytes:
        """The rest: nothing more will come."""
        return self._give(self._held, len(self._held))

    def _give(self, data: bytes, hold: int) -> bytes:
        """Gives out `data` up to `hold`, and no part of a match that may still grow or change."""
        offset = len(self._before)
        whole, hold = self._before + data, hold + offset
        settled = len(whole) - self._redactor.reach
        hold = max(hold, settled)
        given, place = [], offset
        for match in self._redactor.matches(whole, offset):
            if match.start() >= hold:
                break
            if match.end() > hold and match.start() >= settled:
                hold = match.start()
                break
            given += [whole[place : match.start()], _replacement(match)]
            place = match.end()
        hold = max(hold, place)
        given.append(whole[place:hold])
        self._held, self._before = whole[hold:], whole[max(0, hold - _LOOK_BEHIND) : hold]
        return b"".join(given)


def _replacement(match: re.Match[bytes]) -> bytes:
    return b"://" + MARK + b"@" if match.lastgroup == "user" else MARK


def _forms(value: bytes) -> Iterator[bytes]:
    """How a value may stand in a text: as it is, in a URL, in JSON, and line by line (terminals add CR)."""
    text = value.decode("utf-8", "replace")
    yield value
    yield quote(value, safe="").encode()
    yield orjson.dumps(text)[1:-1]
    if b"\n" in value:
        yield from (line for line in map(bytes.strip, value.splitlines()) if len(line) >= MIN_LINE)


def _last(data: bytes, end: bytes) -> int:
    """Where the last `end` in `data` begins; -1 when there is none. What starts before it is decided."""
    found = re.compile(rb"[\s\S]*(" + end + rb")").match(data)
    return found.start(1) if found else -1


def _partial(data: bytes, literal: bytes) -> int:
    """Where the end of `data` is the beginning, and not the whole, of `literal`."""
    place = data.find(literal[:1], max(0, len(data) - len(literal) + 1))
    while place >= 0:
        if literal.startswith(data[place:]):
            return place
        place = data.find(literal[:1], place + 1)
    return len(data)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
