"""Diffs as git writes them, read for a page."""

from __future__ import annotations

import pytest

from services.control.dashboard import diff
from services.control.dashboard.diff import Diff, read_diff

CHANGED = """\
diff --git a/cart.py b/cart.py
index 1..2 100644
--- a/cart.py
+++ b/cart.py
@@ -1,3 +1,3 @@ def total(items):
 keep
--- a/old
+++ b/new
 last
\\ No newline at end of file
"""


def shown(found: Diff) -> list[tuple[str, str, int, int]]:
    return [(file.name, file.what, file.added, file.removed) for file in found.files]


def test_lines_are_what_their_hunk_says() -> None:
    """A changed line that looks like a heading is none."""
    found = read_diff(CHANGED)
    assert shown(found) == [("cart.py", "", 1, 1)]
    assert [(line.kind, line.old, line.new, line.text) for line in found.files[0].lines] == [
        ("hunk", None, None, "@@ -1,3 +1,3 @@ def total(items):"),
        ("same", 1, 1, "keep"),
        ("removed", 2, None, "-- a/old"),
        ("added", None, 2, "++ b/new"),
        ("same", 3, 3, "last"),
        ("note", None, None, "\\ No newline at end of file"),
    ]
    assert (found.added, found.removed, found.cut) == (1, 1, False)


UMLAUT = "n\\303\\244h"
KINDS: dict[str, tuple[list[str], list[tuple[str, str, int, int]]]] = {
    "nothing": ([], []),
    "no diff": (["not a diff", "at all"], []),
    "new": (
        ["diff --git a/n b/n", "new file mode 100644", "--- /dev/null", "+++ b/n", "@@ -0,0 +1 @@", "+x"],
        [("n", "new", 1, 0)],
    ),
    "deleted": (
        ["diff --git a/o b/o", "deleted file mode 100644", "--- a/o", "+++ /dev/null", "@@ -1 +0,0 @@", "-x"],
        [("o", "deleted", 0, 1)],
    ),
    "renamed": (
        ["diff --git a/one b/two", "similarity index 90%", "rename from one", "rename to two"],
        [("one → two", "renamed", 0, 0)],
    ),
    "binary": (
        ["diff --git a/i.png b/i.png", "new file mode 100644", "GIT binary patch", "literal 4", "Lc$@"],
        [("i.png", "new, binary", 0, 0)],
    ),
    "mode": (
        ["diff --git a/a b b/a b", "old mode 100644", "new mode 100755"],
        [("a b", "mode changed", 0, 0)],
    ),
    "quoted": (
        [
            f'diff --git "a/{UMLAUT}" "b/{UMLAUT}"',
            f'--- "a/{UMLAUT}"', f'+++ "b/{UMLAUT}"', "@@ -1 +1 @@", "+y", "-x",
        ],
        [("näh", "", 1, 1)],
    ),
    "not by git": (
        ["--- b", "+++ a\t2026", "@@ -1 +1 @@", "-x", "+y", "--- b2", "+++ a2", "@@ -1 +1 @@", "-x", "+y"],
        [("a", "", 1, 1), ("a2", "", 1, 1)],
    ),
    "broken": (
        ["diff --git a/n b/n", "--- a/n", "+++ b/n", "@@ -1,9 +1,9 @@", " x", "what is this"],
        [("n", "", 0, 0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_change(kind: str) -> None:
    lines, files = KINDS[kind]
    assert shown(read_diff("\n".join(lines))) == files


def test_what_is_too_much_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "MOST_LINES", 7)
    found = read_diff(CHANGED)
    assert found.cut and len(found.files[0].lines) == 3
    long = read_diff("--- a\n+++ b\n@@ -1 +1 @@\n-" + "x" * 5000)
    assert len(long.files[0].lines[1].text) < 1_100
