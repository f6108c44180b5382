"""docs/reference/tracing.md has every span and every attribute, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from sluicegate.tracing import names

PAGE = Path(__file__).parents[3] / "docs/reference/tracing.md"
ROW = re.compile(r"^\| `([^`]+)` \|(?: (producer|server|client|consumer|internal) \|)?", re.MULTILINE)


def test_the_reference_has_each_name() -> None:
    rows = ROW.findall(PAGE.read_text())
    spans = {name: kind for name, kind in rows if kind}
    assert spans == names.SPANS
    told = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and "." in value
    }
    assert {name for name, kind in rows if not kind} == told
