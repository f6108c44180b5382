"""docs/event_kinds.py names every kind of event that is written, and each field that a script gives it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs.event_kinds import CATALOGUE
from sluicegate import store

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(Path(store.__path__[0], "lua").glob("*.lua"))
CALL = re.compile(r"\b(?:event|next_event|cancel_event)\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
KIND = re.compile(r"'((?:job|task|events)\.[a-z_.]+)'")
TELLERS = {"event", "step_event", "tell", "_tell"}


def written_by_scripts() -> Iterator[tuple[str, list[str]]]:
    """Kinds, or how they begin, with the names of the fields that stand in the call."""
    for script in SCRIPTS:
        for call in CALL.finditer(script.read_text()):
            arguments = [each.strip() for each in re.split(r",(?![^(]*\))", call[1])]
            for at, argument in enumerate(arguments):
                for kind in KIND.findall(argument):
                    yield kind, [each.strip("'") for each in arguments[at + 1 :: 2] if each.startswith("'")]


def told_by_workers() -> Iterator[str]:
    """Kinds, or how they begin."""
    for folder in ("services/worker", "shared/sluicegate/worker"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and node.args
                    and ast.unparse(node.func).split(".")[-1] in TELLERS
                ):
                    kind = node.args[0]
                    if isinstance(kind, ast.JoinedStr):
                        kind = kind.values[0]
                    if isinstance(kind, ast.Constant) and str(kind.value).startswith("task."):
                        yield str(kind.value)


@cache
def found() -> set[str]:
    return {*told_by_workers(), *(kind for kind, _ in written_by_scripts())}


def test_every_kind_that_is_written_is_described() -> None:
    assert len(found()) > 40
    assert [kind for kind in found() if kind not in CATALOGUE and not _begins_one(kind)] == []


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUE if kind != "job.enqueued"])
def test_every_kind_that_is_described_is_written(kind: str) -> None:
    """The first event of a job is made from the job itself."""
    assert any(kind == each or (each.endswith(".") and kind.startswith(each)) for each in found())


def test_every_field_of_a_script_is_described() -> None:
    missing = [
        (kind, field)
        for kind, fields in written_by_scripts()
        for field in fields
        if field != "details" and not any(_has(each, field) for each in CATALOGUE if each.startswith(kind))
    ]
    assert missing == []


def _begins_one(kind: str) -> bool:
    return kind.endswith(".") and any(each.startswith(kind) for each in CATALOGUE)


def _has(kind: str, field: str) -> bool:
    return field in CATALOGUE[kind].fields.replace("?", "").split()
