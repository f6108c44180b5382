"""What the stand-ins have in common: strict arguments, and doing what the prompt tells them.

They run with any Python 3.11 and nothing else, as programs on PATH. An argument that the real program's
documentation does not have ends one with exit code 2. What they do stands in the prompt, a line each:

    write FILE WORDS...   say WORDS...   run COMMAND...   hang   fail WORDS...   crash WORDS...
    rate-limit   unauthorized   lose-the-model

A line that is none of these is only read. Every run is noted in the file that STAND_IN_NOTES names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

Values = tuple[str, ...] | Callable[[str], bool] | None
"""What an option takes: one of these, something that passes, or nothing."""


def anything(value: str) -> bool:
    return bool(value)


def refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


class Arguments:
    """Options by their first name, and what stands between them."""

    def __init__(
        self, words: Sequence[str], options: Mapping[str, Values], unknown: str, invalid: str
    ) -> None:
        """options: names separated by `, `, each with what it takes. unknown, invalid: how the program says
        that it does not know `{option}`, or no such `{value}` of it."""
        self._invalid = invalid
        named = {
            name: (names.split(", ")[0], takes)
            for names, takes in options.items()
            for name in names.split(", ")
        }
        self.options: dict[str, str] = {}
        self.words: list[str] = []
        left = list(words)
        while left:
            word = left.pop(0)
            if not word.startswith("-") or word == "-":
                self.words.append(word)
                continue
            if word not in named:
                refuse(unknown.format(option=word))
            name, takes = named[word]
            if name in self.options:
                refuse(f"error: the argument '{name}' cannot be used multiple times")
            self.options[name] = self._value(name, takes, left)

    def _value(self, name: str, takes: Values, left: list[str]) -> str:
        if takes is None:
            return ""
        value = left.pop(0) if left else ""
        if not (takes(value) if callable(takes) else value in takes):
            refuse(self._invalid.format(option=name, value=value))
        return value

    def given(self, name: str) -> bool:
        return name in self.options


class Trouble(Exception):
    """The run ends here. kind: the directive that asked for it."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


def prompt_from_stdin() -> str:
    if sys.stdin.isatty():
        refuse("error: stdin is a terminal: this would wait for a person")
    return sys.stdin.read()


def emit(event: dict[str, Any]) -> None:
    """One JSON line, as these programs write it: no spaces, characters as they are."""
    print(json.dumps(event, ensure_ascii=False, separators=(",", ":")), flush=True)


def note(name: str, arguments: Arguments, prompt: str, **more: Any) -> None:
    """Add a line about this run to the notes."""
    if path := os.environ.get("STAND_IN_NOTES"):
        seen = {
            "name": name,
            "argv": sys.argv[1:],
            "options": arguments.options,
            "prompt": prompt,
            "cwd": os.getcwd(),
            "terminal": sys.stdout.isatty() and sys.stderr.isatty(),
            "settings": sorted(each for each in os.environ if each.startswith("SLUICEGATE_")),
            **more,
        }
        with Path(path).open("a") as file:
            file.write(json.dumps(seen) + "\n")


def act(prompt: str, *, may_write: bool, may_run: bool, step: Callable[[str, str, bool], None]) -> str:
    """Do what the prompt says; its last message. step: told of each action, what it gave, and whether it did.

    What the permissions do not allow is not done, and said so: nobody is there to be asked. Raises Trouble.
    """
    said = "Nothing to do."
    for line in prompt.splitlines():
        verb, _, rest = line.strip().partition(" ")
        match verb:
            case "write":
                name, _, words = rest.partition(" ")
                if may_write:
                    Path(name).write_text(words + "\n")
                step(f"write {name}", "" if may_write else "not permitted", may_write)
                said = f"Wrote {name}." if may_write else f"I was not permitted to write {name}."
            case "run":
                given = _run(rest) if may_run else "not permitted"
                step(rest, given, may_run)
            case "say":
                said = rest
            case "hang":
                while True:
                    time.sleep(3600)
            case "crash":
                print(rest, file=sys.stderr)
                sys.exit(70)
            case "fail" | "rate-limit" | "unauthorized" | "lose-the-model":
                raise Trouble(verb, rest)
    return said


def _run(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout.decode() + done.stderr.decode()
