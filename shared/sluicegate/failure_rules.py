"""Rules that say what class a failure has: the form in which they are written, here and in settings (H-3).

A rule holds when every condition that it names does. `FailureRules` is the setting: a list of tables in the
TOML file, or the same list as JSON in the environment.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

FailureClass = Literal[
    "transient_runtime", "deterministic_contract", "deterministic_policy", "deterministic_repo"
]
"""What a rule can say. A fifth class, `stuck_no_progress`, comes of comparing attempts."""

ANY_SIGNAL: Final = "any"
LINES: Final = 50
"""Of the output, so many last lines are searched by a rule that says nothing else."""


class FailureRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """exit_codes, signals (`SIGKILL`, or `any`), pattern: the conditions, at least one.

    pattern: a regular expression, searched whatever the case in the last `lines` lines; `^` and `$` are the
    ends of a line.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
    failure_class: FailureClass = msgspec.field(name="class")
    exit_codes: tuple[Annotated[int, Meta(ge=1, le=255)], ...] = ()
    signals: tuple[str, ...] = ()
    pattern: Annotated[str, Meta(min_length=1)] | None = None
    lines: Annotated[int, Meta(ge=1, le=1000)] = LINES

    def __post_init__(self) -> None:
        if not self.exit_codes and not self.signals and self.pattern is None:
            raise ValueError("it has no condition: give exit_codes, signals or pattern")
        for name in self.signals:
            if name != ANY_SIGNAL and name not in signal.Signals.__members__:
                raise ValueError(f"signals: {name!r} is no signal; they are named like SIGKILL, or `any`")
        if self.pattern is not None:
            try:
                re.compile(self.pattern, FLAGS)
            except re.error as error:
                raise ValueError(f"pattern: {self.pattern!r} is no regular expression: {error}") from error

    def __str__(self) -> str:
        return self.name


FLAGS: Final = re.IGNORECASE | re.MULTILINE


class FailureRules(tuple[FailureRule, ...]):
    """Rules in the order in which they are tried, each with a name of its own."""

    __slots__ = ()

    @classmethod
    def read(cls, value: Any) -> FailureRules:
        """From a list of tables, or from JSON. Raises ValueError, which names the rule."""
        if isinstance(value, str):
            try:
                value = msgspec.json.decode(value)
            except msgspec.DecodeError as error:
                raise ValueError(f"not JSON: {error}") from error
        if not isinstance(value, list):
            raise ValueError("rules are a list of tables")  # noqa: TRY004 - what msgspec takes from a hook
        rules = cls(_read_one(number, each) for number, each in enumerate(value, 1))
        names = [rule.name for rule in rules]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"more than one rule is called {', '.join(doubled)}")
        return rules


def _read_one(number: int, value: Any) -> FailureRule:
    named = isinstance(value, dict) and isinstance(value.get("name"), str)
    which = f"rule {value['name']!r}" if named else f"rule {number}"
    try:
        return msgspec.convert(value, FailureRule)
    except msgspec.ValidationError as error:
        raise ValueError(f"{which}: {_plainly(str(error))}") from error


def _plainly(said: str) -> str:
    """The message of a validation error with its field first: ``exit_codes[0]: expected `int` ...``."""
    found = re.fullmatch(r"(.*) - at `\$\.([^`]*)`", said, re.DOTALL)
    what, where = (found[1], f"{found[2]}: ") if found else (said, "")
    if where == "class: ":
        return f"class: must be one of {', '.join(_classes())}"
    return where + what


def _classes() -> Iterable[str]:
    return get_args(FailureClass)
