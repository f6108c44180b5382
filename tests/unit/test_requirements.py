"""Every requirement has its row, and each row that the page calls finished has a test that names it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/requirements.md"
ROWS = {"Q": 19, "C": 13, "P": 13, "H": 14, "L": 14}
FINISHED = {"store", "done"}
PARTS = {"store", "auth", "queue_api", "control", "worker", "dashboard"}


class Row(NamedTuple):
    id: str
    promise: str
    part: str
    state: str


def rows() -> list[Row]:
    found = re.findall(r"^\| ([A-Z]-\d+) \| (.+) \| (\S+) \| (\S+) \|$", PAGE.read_text(), re.MULTILINE)
    return [Row(*each) for each in found]


@cache
def named_by_tests() -> frozenset[str]:
    """Every requirement id that some test names."""
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__))
    return frozenset(name for text in texts for name in re.findall(r"\b[QCPHL]-\d+\b", text))


def test_every_requirement_has_its_row_once_and_in_order() -> None:
    expected = [f"{letter}-{number}" for letter, last in ROWS.items() for number in range(1, last + 1)]
    assert [row.id for row in rows()] == expected
    assert {row.state for row in rows()} <= FINISHED | {"later"}
    assert {row.part for row in rows()} <= PARTS


@pytest.mark.parametrize("row", [row for row in rows() if row.state in FINISHED], ids=lambda row: row.id)
def test_a_finished_requirement_is_named_by_a_test(row: Row) -> None:
    assert row.id in named_by_tests(), f"no test names {row.id}: {row.promise}"


def test_tests_name_no_requirement_that_does_not_exist() -> None:
    assert named_by_tests() <= {row.id for row in rows()}
