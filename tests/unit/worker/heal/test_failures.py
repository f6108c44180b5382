"""Real-looking failures: each twice the same, all others different, each of the right class (H-14, H-3)."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from services.worker.heal.classify import classify
from services.worker.heal.signature import essence, signature

FOLDER = Path(__file__).parents[3] / "data" / "failures"
_HEAD = re.compile(
    r"^@@ (?:(?P<name>[\w-]+) \| (?P<how>exit|signal) (?P<number>\d+) \| (?P<means>\w+)|again)$"
)


class Failure(NamedTuple):
    name: str
    how: str
    number: int
    failure_class: str
    times: tuple[str, ...]
    """What was put out, each time."""


def read(path: Path) -> list[Failure]:
    found: list[tuple[re.Match[str], list[list[str]]]] = []
    for line in path.read_text().splitlines():
        head = _HEAD.match(line)
        if head and head["name"]:
            found.append((head, [[]]))
        elif head:
            found[-1][1].append([])
        else:
            found[-1][1][-1].append(line.replace("␛", "\x1b").replace("␍", "\r"))
    return [
        Failure(
            f"{path.stem}-{head['name']}",
            head["how"],
            int(head["number"]),
            head["means"],
            tuple("\n".join(lines) for lines in times),
        )
        for head, times in found
    ]


FAILURES = [failure for path in sorted(FOLDER.glob("*.txt")) for failure in read(path)]


def test_there_are_enough() -> None:
    assert len(FAILURES) >= 60
    assert all(len(failure.times) >= 2 for failure in FAILURES)
    assert len({failure.name for failure in FAILURES}) == len(FAILURES)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_the_same_failure_is_the_same(failure: Failure) -> None:
    """H-14: in every attempt."""
    first, *others = failure.times
    for other in others:
        assert set(essence(other).splitlines()) == set(essence(first).splitlines())
        assert signature(other) == signature(first)


def test_different_failures_are_different() -> None:
    """H-14: no two of them, whatever they have in common."""
    named = defaultdict(set)
    for failure in FAILURES:
        named[signature(failure.times[0])].add(failure.name)
    assert [names for names in named.values() if len(names) > 1] == []


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_each_has_its_class(failure: Failure) -> None:
    """H-3, 70-30: what was meant, each time."""
    for said in failure.times:
        exit_code = failure.number if failure.how == "exit" else None
        ended_by = failure.number if failure.how == "signal" else None
        verdict = classify(said, exit_code=exit_code, signal=ended_by)
        assert verdict.failure_class == failure.failure_class, verdict.rule


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_terminals_and_pipes_show_the_same(failure: Failure) -> None:
    """H-14: a terminal's line ends, and what it had on the screen before."""
    shown = "[1/9] preparing\r[2/9] preparing\r\n" + failure.times[0].replace("\n", "\r\n") + "\r\n"
    expected = essence("[2/9] preparing\n" + failure.times[0])
    assert essence(shown.encode()) == expected
