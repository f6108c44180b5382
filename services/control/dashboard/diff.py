"""A unified diff, as git writes it, as files and lines to show. Whatever it is given, it raises nothing."""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct, field

MOST_LINES: Final = 4_000
MOST_FILES: Final = 300
LONGEST_LINE: Final = 1_000

Kind = Literal["added", "removed", "same", "hunk", "note"]
_HUNK: Final = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_OCTAL: Final = re.compile(rb'\\([0-7]{3}|["\\tn])')
_ESCAPED: Final = {b"t": b"\t", b"n": b"\n"}
_KINDS: Final[dict[str, Kind]] = {"+": "added", "-": "removed", " ": "same"}
_ABOUT: Final = (
    ("new file mode ", "new"), ("deleted file mode ", "deleted"), ("rename from ", "renamed"),
    ("copy from ", "copied"), ("old mode ", "mode changed"),
)  # fmt: skip


class DiffLine(Struct, frozen=True):
    """old, new: its number before and after; None where it is not."""

    kind: Kind
    text: str
    old: int | None = None
    new: int | None = None


class DiffFile(Struct):
    """what: new, deleted, renamed, binary ...; empty for one that only changed."""

    name: str
    what: str = ""
    added: int = 0
    removed: int = 0
    lines: list[DiffLine] = field(default_factory=list[DiffLine])


class Diff(Struct):
    """cut: there is more than is shown."""

    files: list[DiffFile] = field(default_factory=list[DiffFile])
    cut: bool = False

    @property
    def added(self) -> int:
        return sum(each.added for each in self.files)

    @property
    def removed(self) -> int:
        return sum(each.removed for each in self.files)


def read_diff(text: str) -> Diff:
    """At most MOST_LINES lines of MOST_FILES files. Lines before the first file are left out."""
    reading = _Reading()
    for number, line in enumerate(text.split("\n")):
        if number >= MOST_LINES or len(reading.diff.files) > MOST_FILES:
            reading.diff.cut = True
            break
        reading.take(line.removesuffix("\r"))
    del reading.diff.files[MOST_FILES:]
    return reading.diff


class _Reading:
    """Hunks say how long they are: within one nothing is taken for a heading, whatever it looks like."""

    def __init__(self) -> None:
        self.diff = Diff()
        self._old_left = self._new_left = 0
        self._old = self._new = 0
        self._before: str | None = None

    def take(self, line: str) -> None:
        if self.diff.files and (self._old_left > 0 or self._new_left > 0):
            self._body(line)
        elif line.startswith("diff --git "):
            self._open(_git_name(line))
        elif line.startswith("--- "):
            self._before = line
        elif line.startswith("+++ ") and self._before is not None:
            self._names(self._before, line)
        elif self.diff.files:
            self._about(self.diff.files[-1], line)

    def _open(self, name: str) -> None:
        self.diff.files.append(DiffFile(name))
        self._before = None

    def _names(self, before: str, after: str) -> None:
        old, new = _name(before[4:]), _name(after[4:])
        file = self.diff.files[-1] if self.diff.files else None
        if file is None or file.lines:
            self._open(new)
            file = self.diff.files[-1]
        file.name = old if new == "/dev/null" else new
        self._before = None

    def _about(self, file: DiffFile, line: str) -> None:
        if hunk := _HUNK.match(line):
            self._old, self._new = int(hunk[1]), int(hunk[3])
            self._old_left, self._new_left = int(hunk[2] or 1), int(hunk[4] or 1)
            file.lines.append(DiffLine("hunk", _short(line)))
        elif line.startswith("rename to "):
            file.name = f"{file.name.split(' → ')[0]} → {_unquoted(line[10:])}"
        elif line.startswith(("GIT binary patch", "Binary files ")):
            file.what = f"{file.what}, binary" if file.what else "binary"
        elif line.startswith("\\"):
            file.lines.append(DiffLine("note", _short(line)))
        else:
            for start, what in _ABOUT:
                if line.startswith(start):
                    file.what = what
                    if start == "rename from ":
                        file.name = _unquoted(line[len(start) :])

    def _body(self, line: str) -> None:
        file = self.diff.files[-1]
        kind = _KINDS.get(line[:1] or " ")
        if kind is None:
            file.lines.append(DiffLine("note", _short(line)))
            if not line.startswith("\\"):
                self._old_left = self._new_left = 0
            return
        old = None if kind == "added" else self._old
        new = None if kind == "removed" else self._new
        file.lines.append(DiffLine(kind, _short(line[1:]), old, new))
        if old is not None:
            self._old, self._old_left = self._old + 1, self._old_left - 1
        if new is not None:
            self._new, self._new_left = self._new + 1, self._new_left - 1
        file.added += kind == "added"
        file.removed += kind == "removed"


def _git_name(line: str) -> str:
    """Of `diff --git a/<name> b/<name>`; with two names the later headings say them."""
    names = line.removeprefix("diff --git ")
    half = names[: len(names) // 2]
    return _name(half if names == f"{half} b/{half[2:]}" else names)


def _name(text: str) -> str:
    name = _unquoted(text.split("\t", maxsplit=1)[0])
    return name[2:] if name.startswith(("a/", "b/")) else name


def _unquoted(text: str) -> str:
    """Git writes a name with unusual characters in quotes, those as octal bytes."""
    if not (len(text) >= 2 and text[0] == text[-1] == '"'):
        return text[:500]
    raw = _OCTAL.sub(_byte, text[1:-1].encode())
    return raw.decode("utf-8", "replace")[:500]


def _byte(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8) & 255]) if len(code) == 3 else _ESCAPED.get(code, code)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} …"
