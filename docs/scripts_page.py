"""The reference page of the store's scripts, from the header that each has."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from sluicegate import store

FOLDER = Path(store.__path__[0], "lua")


def page() -> str:
    lines = [
        "# Scripts of the store",
        "",
        "Each transition is one Lua script, which the server runs whole or not at all; nothing else writes",
        "the store's keys. [The life of a job](../../shared/sluicegate/store/LIFECYCLE.md) says who calls",
        "which. *From* and *To* are states of a job, a reply begins with a word, and *Repeat* says what",
        "happens when a call whose answer was lost is made again.",
        "",
        "This page is written by `make generated`.",
    ]
    for script in sorted(FOLDER.glob("[!_]*.lua")):
        first, *rest = header(script)
        name, _, words = first.partition(": ")
        lines += ["", f"## {name}", "", words[0].upper() + words[1:], "", "```text", *rest, "```"]
    return "\n".join(lines) + "\n"


def header(script: Path) -> list[str]:
    """The comment at its top, without its dashes; its first sentence in one line."""
    lines = [
        line[3:].rstrip()
        for line in takewhile(lambda line: line.startswith("--"), script.read_text().splitlines())
    ]
    table = next(at for at, line in enumerate(lines) if line.startswith(("From", "Args", "Replies")))
    return [" ".join(lines[:table]), *lines[table:]]
