"""Each rule of what says nothing, by the examples that stand beside it (H-14)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.worker.heal import noise

TABLE = noise.table_of_rules()


def entries(*kinds: str) -> list[Any]:
    return [pytest.param(each, id=each["name"]) for kind in kinds for each in TABLE[kind]]


@pytest.mark.parametrize("entry", entries("replaced"))
def test_what_is_replaced(entry: dict[str, Any]) -> None:
    assert entry["examples"]
    for before, after in entry["examples"]:
        assert re.sub(noise.pattern_of(entry), entry.get("instead", noise.ANY), before) == after


@pytest.mark.parametrize("entry", entries("kept", "compares"))
def test_which_numbers_are_kept(entry: dict[str, Any]) -> None:
    for before, after in entry["examples"]:
        assert noise.cleaned([before]) == [after]


@pytest.mark.parametrize("entry", entries("dropped", "complaints"))
def test_which_lines_are_taken(entry: dict[str, Any]) -> None:
    assert entry["examples"]
    for line in entry["examples"]:
        assert re.search(noise.pattern_of(entry), line), line


def test_no_name_stands_for_two_rules() -> None:
    names = [each["name"] for kind, rules in TABLE.items() if kind != "parts" for each in rules]
    assert len(names) == len(set(names))
