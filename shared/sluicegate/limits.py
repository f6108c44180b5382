"""Concurrency limits as they are written, as the store keeps them, and which of them a lane is under (Q-18).

A limit has a name, `type=<type>`, `repo=<repository>` or `key=<affinity key>`, in the encoding of a lane's
name, and a number: so many jobs under it may run at the same time. `key=` is not written: it means one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self
from urllib.parse import unquote

from sluicegate.errors import ConfigurationError, Invalid
from sluicegate.model import TYPE_PATTERN, encoded
from sluicegate.repositories import canonical
from sluicegate.settings import Settings

VARIABLE: Final = "SLUICEGATE_CONCURRENCY_LIMITS"
NONE: Final = "none"
ANY_REPOSITORY: Final = "repo=*"
MAX_TYPES: Final = 50
"""A claim looks at each limited type once."""
MAX_LIMITS: Final = 300
_PART: Final = re.compile(r"(type|repo)=(.+):([0-9]{1,6})")


class Limit(NamedTuple):
    name: str
    most: int

    @property
    def shown(self) -> str:
        """For people: `type a`, `repository github.com/acme/a`, `affinity key k`."""
        kind, _, value = self.name.partition("=")
        return f"{_WORDS[kind]} {unquote(value)}"


_WORDS: Final = {"type": "type", "repo": "repository", "key": "affinity key"}


class Limits(NamedTuple):
    """The numbers by name, without those of affinity keys."""

    numbers: Mapping[str, int]

    @classmethod
    def of_setting(cls, setting: Sequence[str], settings: Settings) -> Self:
        """Raises ConfigurationError naming the variable, the value and what is allowed."""
        numbers: dict[str, int] = {}
        for part in () if tuple(setting) == (NONE,) else setting:
            name, most = _parsed(part, settings)
            if name in numbers:
                raise _wrong(part, "limits what another part limits already")
            numbers[name] = most
        if len(numbers) > MAX_LIMITS or sum(name.startswith("type=") for name in numbers) > MAX_TYPES:
            raise _wrong(
                ",".join(setting), f"has more than {MAX_LIMITS} limits, or more than {MAX_TYPES} of types"
            )
        return cls(numbers)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """What `text` wrote."""
        parts = (part.rpartition("=") for part in text.strip("|").split("|") if part)
        return cls({name: int(most) for name, _, most in parts})

    @property
    def text(self) -> str:
        """As the scripts read it: `|type=a=2|repo=*=1|`, empty without any."""
        return "".join(f"|{name}={most}" for name, most in sorted(self.numbers.items())) + (
            "|" if self.numbers else ""
        )

    def of(self, lane: str) -> list[Limit]:
        """The limits that a lane is under, by its name in the store: of its type, its key, its repository."""
        _, kind, repository, _, key = lane.split("|")
        by_type, by_repository = self.numbers.get(f"type={kind}"), None
        if repository:
            by_repository = self.numbers.get(f"repo={repository}", self.numbers.get(ANY_REPOSITORY))
        found = [
            Limit(f"type={kind}", by_type) if by_type else None,
            Limit(f"key={key}", 1) if key else None,
            Limit(f"repo={repository}", by_repository) if by_repository else None,
        ]
        return [limit for limit in found if limit]

    def shelf(self, lane: str) -> str:
        """The type of the lane when it is limited, else nothing."""
        kind = lane.split("|")[1]
        return kind if f"type={kind}" in self.numbers else ""


def _parsed(part: str, settings: Settings) -> tuple[str, int]:
    found = _PART.fullmatch(part)
    if not found or int(found[3]) == 0:
        raise _wrong(part, "is not type=<type>:<n>, repo=<owner/name>:<n> or repo=*:<n>, n from 1 to 999999")
    kind, value, most = found[1], found[2], int(found[3])
    if kind == "type":
        if not re.match(TYPE_PATTERN, value):
            raise _wrong(part, "names no type")
    elif value != "*":
        try:
            value = encoded(canonical(value, settings))
        except Invalid as error:
            raise _wrong(part, error.extra["errors"][0]["message"]) from error
    return f"{kind}={value}", most


def _wrong(part: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{VARIABLE}={part!r} is not allowed: it {why}")
