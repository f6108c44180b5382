"""LIFECYCLE.md says of each script what the script says of itself, and only what the state machine allows."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from sluicegate.model import STATUSES, TERMINAL

STORE = Path(__file__).parents[2] / "shared/sluicegate/store"
PAGE = STORE / "LIFECYCLE.md"
SCRIPTS = sorted(path for path in (STORE / "lua").glob("*.lua") if not path.name.startswith("_"))
NOWHERE = "(none)"
ANY = "(any)"
ALLOWED = {
    (NOWHERE, "queued"),
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "queued"),
    ("dead_letter", "queued"),
    *(("running", status) for status in TERMINAL),
    *((status, status) for status in (*STATUSES, NOWHERE, ANY)),
    *((status, NOWHERE) for status in TERMINAL),
}


class Row(NamedTuple):
    transition: str
    before: frozenset[str]
    after: frozenset[str]
    caller: str
    script: str


def listed(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(","))


def rows() -> list[Row]:
    cells = r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| `(\w+)\.lua` \|$"
    found = re.findall(cells, PAGE.read_text(), re.MULTILINE)
    return [
        Row(what, listed(before), listed(after), who, script) for what, before, after, who, script in found
    ]


def header(script: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The From and To lists of a script's header."""
    found = re.search(r"^-- From\s+(.+?)\s{2,}To\s+(.+?)\s*$", script.read_text(), re.MULTILINE)
    assert found, f"{script.name} has no line `-- From ... To ...`"
    return listed(found[1]), listed(found[2])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_table_agrees_with_the_header(script: Path) -> None:
    mine = [row for row in rows() if row.script == script.stem]
    assert mine, f"{script.name} has no row in LIFECYCLE.md"
    before, after = header(script)
    assert frozenset().union(*(row.before for row in mine)) == before
    assert frozenset().union(*(row.after for row in mine)) == after


def test_the_table_names_no_script_that_is_gone() -> None:
    assert {row.script for row in rows()} == {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.script}-{row.transition}")
def test_each_transition_is_one_that_a_job_may_make(row: Row) -> None:
    moves = {(before, after) for before in row.before for after in row.after}
    if row.before == row.after:
        moves = {(status, status) for status in row.before}
    assert moves <= ALLOWED


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.script}-{row.transition}")
def test_each_caller_exists(row: Row) -> None:
    """The last column but one names functions of the store, in modules that call this script."""
    names = re.findall(r"`(\w+)\.([\w.]+)`", row.caller)
    assert names, f"{row.caller!r} names no function of the store"
    for module, path in names:
        assert f'"{row.script}"' in (STORE / f"{module}.py").read_text()
        value: object = importlib.import_module(f"sluicegate.store.{module}")
        for part in path.split("."):
            value = getattr(value, part)
        assert callable(value)
