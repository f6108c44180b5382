"""Loads the Lua scripts and lets Python call them by name.

A script's header declares its arguments, one per line, with type and unit (STYLE: `-- Args`, `-- Each`).
The loader turns them into Lua locals and checks calls against them, so that there is no second list.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple

from sluicegate.model import MAX_ATTEMPTS_DEFAULT

SCHEMA_VERSION: Final = 1
FOLDER: Final = files("sluicegate.store") / "lua"
FRAGMENTS: Final = (
    "_prelude",
    "_flow",
    "_limits",
    "_lanes",
    "_attempts",
    "_controls",
    "_live",
    "_faults",
    "_pauses",
)
"""What scripts share, in order of use: functions and constants, parted by blank lines."""
_WORD: Final = re.compile(r"\w+")
_NAME: Final = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)
Kind = Literal["text", "integer", "number"]


class Slot(NamedTuple):
    name: str
    kind: Kind
    meaning: str


class Script(NamedTuple):
    """One transition: its text as sent to the server, and what its header says."""

    name: str
    text: str
    plain_text: str  # without the shebang, for fakeredis
    sha: str
    args: tuple[Slot, ...]
    each: tuple[Slot, ...]
    header: dict[str, list[str]]

    @property
    def reads(self) -> bool:
        """Whether it writes nothing."""
        return "no-writes" in self.header.get("Flags", [])

    def argv(self, args: dict[str, Any], items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The flat argument list of a call; TypeError when names or widths differ from the header."""
        if len(args) != len(self.args):
            raise TypeError(f"{self.name} takes {[slot.name for slot in self.args]}, got {sorted(args)}")
        argv = [args[slot.name] for slot in self.args]
        width = len(self.each)
        for item in items:
            if len(item) != width:
                raise TypeError(
                    f"{self.name}: each item is {[slot.name for slot in self.each]}, got {item!r}"
                )
            argv += item
        return argv


@cache
def script(name: str) -> Script:
    """The script of that name, composed and checked once per process."""
    body = (FOLDER / f"{name}.lua").read_text()
    header = parse_header(name, body)
    args = _slots(name, header.get("Args", []))
    each = _slots(name, header.get("Each", []))
    code = f"{_locals(args, each)}\n{body}"
    meta = "" if "Store" in header else (FOLDER / "_meta.lua").read_text()
    plain = f"{_constants()}{meta}{_shared_by(code)}\n{code}"
    flags = ",".join(_words(header.get("Flags", [])))
    text = f"#!lua flags={flags}\n{plain}" if flags else f"#!lua\n{plain}"
    return Script(name, text, plain, hashlib.sha1(text.encode()).hexdigest(), args, each, header)  # noqa: S324


@cache
def names() -> tuple[str, ...]:
    """Every transition, in order of name."""
    found = (entry.name.removesuffix(".lua") for entry in FOLDER.iterdir() if entry.name.endswith(".lua"))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def parse_header(name: str, body: str) -> dict[str, list[str]]:
    """`-- Word  text` lines and their continuations, up to the first line of code."""
    header: dict[str, list[str]] = {}
    word = ""
    lines = body.splitlines()
    first = re.match(rf"-- {name}: (.+)", lines[0])
    if not first:
        raise ValueError(f"{name}.lua must begin with `-- {name}: what it does`")
    header["Does"] = [first[1]]
    for line in lines[1:]:
        if not line.startswith("--"):
            break
        found = re.match(r"-- (From|Args|Each|Replies|Repeat|Flags|Store) +(.+)", line)
        if found:
            word = found[1]
            header.setdefault(word, []).append(found[2])
        elif word:
            header[word].append(line.removeprefix("--").strip())
    for needed in ("From", "Replies", "Repeat"):
        if needed not in header:
            raise ValueError(f"{name}.lua: the header lacks `{needed}`")
    return header


def _slots(name: str, lines: list[str]) -> tuple[Slot, ...]:
    slots = []
    for line in lines:
        found = re.fullmatch(r"([a-z_]+)\s+(text|integer|number)\s+(.+)", line)
        if not found:
            raise ValueError(f"{name}.lua: not an argument: {line!r}")
        slots.append(Slot(found[1], found[2], found[3]))  # type: ignore[arg-type]
    return tuple(slots)


def _words(lines: list[str]) -> list[str]:
    return [word for line in lines for word in re.split(r"[,\s]+", line) if word]


def _shared_by(code: str) -> str:
    """The paragraphs of the fragments that the code needs, directly or through one another, in order.

    A paragraph is a function or a constant with its comment. Each call of a script makes its functions
    anew: those it does not need would cost every call.
    """
    kept: list[str] = []
    needed = set(_WORD.findall(code))
    for paragraph in reversed(_paragraphs()):
        if not paragraph.names.isdisjoint(needed):
            kept.append(paragraph.text)
            needed |= paragraph.words
    return "\n".join(reversed(kept))


class _Paragraph(NamedTuple):
    """names: those that it gives to what stands below it."""

    text: str
    names: frozenset[str]
    words: frozenset[str]


@cache
def _paragraphs() -> tuple[_Paragraph, ...]:
    texts = ((FOLDER / f"{name}.lua").read_text() for name in FRAGMENTS)
    return tuple(
        _Paragraph(each, frozenset(_NAME.findall(each)), frozenset(_WORD.findall(each)))
        for text in texts
        for each in text.strip().split("\n\n")
    )


def _constants() -> str:
    return (
        f"local SCHEMA_VERSION, SCHEMA_VERSION_BEFORE = '{SCHEMA_VERSION}', '{SCHEMA_VERSION - 1}'\n"
        f"local DEFAULT_MAX_ATTEMPTS = {MAX_ATTEMPTS_DEFAULT}\n"
    )


def _locals(args: tuple[Slot, ...], each: tuple[Slot, ...]) -> str:
    lines = [f"local {slot.name} = {_value(slot, str(at))}" for at, slot in enumerate(args, 1)]
    if each:
        lines.append(f"local N = (#ARGV - {len(args)}) / {len(each)}")
        values = ", ".join(_value(slot, f"base + {at}") for at, slot in enumerate(each, 1))
        lines.append(
            f"local function each(at) local base = {len(args)} + (at - 1) * {len(each)} return {values} end"
        )
    return "\n".join(lines) + "\n"


def _value(slot: Slot, at: str) -> str:
    return f"ARGV[{at}]" if slot.kind == "text" else f"tonumber(ARGV[{at}])"
