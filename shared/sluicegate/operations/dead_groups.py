"""Dead letters by what they died of: one cause is one group, however often it came (Q-8). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from sluicegate.store.dead_letters import DeadLetter

MOST_CHARACTERS: Final = 300
_NOISE: Final = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "*"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "*"),
    (re.compile(r"(?<![\w.-])(?:~|\.{1,2})?(?:/[\w.@+~-]+){2,}"), "*"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b", re.IGNORECASE), "*"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "*"),
    (re.compile(r"\s+"), " "),
)
"""What differs between two failures of one cause: ids, times, places, hashes, numbers."""


class Group(Struct, frozen=True, kw_only=True):
    """letters: newest first, at least one."""

    type: str
    failure_class: str
    signature: str
    letters: list[DeadLetter]

    @property
    def newest(self) -> DeadLetter:
        return self.letters[0]

    @property
    def oldest(self) -> DeadLetter:
        return self.letters[-1]


def signature(error: str) -> str:
    """Equal for the same failure of two jobs: its text with `*` for what varies."""
    for pattern, mark in _NOISE:
        error = pattern.sub(mark, error)
    return error.strip()[:MOST_CHARACTERS]


def grouped(letters: Iterable[DeadLetter]) -> list[Group]:
    """The largest group first; of equal ones that with the newest letter. letters: newest first."""
    found: dict[tuple[str, str, str], list[DeadLetter]] = {}
    for letter in letters:
        key = (letter.type, letter.failure_class, signature(letter.last_error))
        found.setdefault(key, []).append(letter)
    groups = [
        Group(type=kind, failure_class=failure_class, signature=text, letters=each)
        for (kind, failure_class, text), each in found.items()
    ]
    return sorted(groups, key=lambda group: -len(group.letters))
