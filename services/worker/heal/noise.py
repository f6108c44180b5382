"""What says nothing about a failure is replaced by `*` or dropped; the rules are data, in `noise.toml`.

One sign stands for all that varies, whatever it was: `12`, `1m 3s` and `a81f3c2` may be the same thing in
two attempts. Kept is what tells failures apart: exit codes, HTTP statuses, numbers that belong to a name
(`TS2345`, `utf-8`, `react@17.0.2`), small numbers of a comparison, ports of well-known services.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

ANY: Final = "*"
_NUMBER: Final = r"(?<![\w.@=])(?<![<>=]=)\d[\d,_]*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)(?!\.\d)"
_SMALL_NUMBER: Final = r"(?<![\w.])\d{1,4}(?![\w.,])"
_ANYS: Final = re.compile(r"\*(?:[\s,:./+-]*\*|\s*\(\*\))+")
_SPACE: Final = re.compile(r"\s+")


class Replaced(NamedTuple):
    pattern: re.Pattern[str]
    instead: str


class Rules(NamedTuple):
    replaced: list[Replaced]
    numbers: re.Pattern[str]
    numbers_compared: re.Pattern[str]
    compares: re.Pattern[str]
    dropped: re.Pattern[str]
    complaints: re.Pattern[str]


def cleaned(lines: Sequence[str], roots: Iterable[str] = ()) -> list[str]:
    """The lines with all that varies replaced; as many as before. roots: folders to cut off paths."""
    text = "\n".join(lines)
    for root in sorted(roots, key=len, reverse=True):
        text = text.replace(root.rstrip("/") + "/", "")
    for pattern, instead in rules().replaced:
        text = pattern.sub(instead, text)
    return [_tidied(line) for line in text.split("\n")]


def says_nothing(line: str) -> bool:
    return rules().dropped.search(line) is not None


def complains(line: str) -> bool:
    return rules().complaints.search(line) is not None


@cache
def rules() -> Rules:
    table = table_of_rules()

    def compiled(kind: str) -> re.Pattern[str]:
        return re.compile("|".join(map(pattern_of, table[kind])))

    kept = f"(?P<kept>(?i:{compiled('kept').pattern}))"
    return Rules(
        replaced=[
            Replaced(re.compile(pattern_of(each)), each.get("instead", ANY)) for each in table["replaced"]
        ],
        numbers=re.compile(f"{kept}|{_NUMBER}"),
        numbers_compared=re.compile(f"(?P<kept>{_SMALL_NUMBER})|{_NUMBER}"),
        compares=compiled("compares"),
        dropped=compiled("dropped"),
        complaints=compiled("complaints"),
    )


@cache
def table_of_rules() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "noise.toml").read_text())


def pattern_of(entry: dict[str, Any]) -> str:
    """The alternatives of an entry as one, each with its own flags."""
    parts = table_of_rules()["parts"]
    return "|".join(_scoped(_with_parts(each, parts)) for each in entry["patterns"])


def _with_parts(pattern: str, parts: dict[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda found: parts.get(found[1], found[0]), pattern)


def _scoped(pattern: str) -> str:
    """Flags at its beginning, made to hold for this alternative only."""
    found = re.match(r"\(\?([im]+)\)", pattern)
    return f"(?{found[1]}:{pattern[found.end() :]})" if found else f"(?:{pattern})"


def _tidied(line: str) -> str:
    numbers = rules().numbers_compared if rules().compares.search(line) else rules().numbers
    line = numbers.sub(lambda found: found["kept"] or ANY, line)
    return _ANYS.sub(ANY, _SPACE.sub(" ", line)).strip()
