"""What a runtime is: data that says how its command is put together, and what its output means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from services.worker.runtimes.output import Reading, Sign, read
from sluicegate.failure_rules import FailureRule

FROM_STDIN: Final = ("sh", "-c", 'exec "$@" < "$0"')
"""Runs the words after the next one, with that file as stdin: a prompt can be too long for an argument,
begin with a dash, and is nobody else's to read in a list of processes. stdout stays the terminal."""

Template = tuple[str | tuple[str, ...], ...]


class LoginFile(Struct, frozen=True, kw_only=True):
    """Where a program keeps that somebody signed in: `name` in the folder that `variable` names, else in
    `folder` of the home."""

    variable: str
    folder: str
    name: str

    def path(self, environ: Mapping[str, str]) -> Path:
        home = Path(environ.get("HOME") or Path.home())
        return Path(environ.get(self.variable) or home / self.folder) / self.name


class Runtime(Struct, frozen=True, kw_only=True):
    """One program that a step can be a run of.

    argv: what follows the program. `{script}` is the file with the instructions as they were written,
    `{prompt}` the file with all that an agent is told, `{model}` and `{effort}` what the task asks for: a
    group of words with one of these is left out when it does not. `{args}` are the words of the setting
    `runtime_args_<name>`.
    prompt: `file` when argv names it, `stdin` when it is read from there.
    keys: variables with a secret that lets it in, one of which is enough. elsewhere: variables that say
    that the credentials come from somewhere else. keychain: on macOS a login is kept where nobody can look.
    signs: what the JSON lines of its output say; none when it prints no such lines.
    rules: what its failures mean, where the rules for everything (`heal.rules`) do not know.
    """

    name: str
    program: str
    argv: Template
    prompt: Literal["file", "stdin"] = "file"
    keys: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    logins: tuple[LoginFile, ...] = ()
    keychain: bool = False
    version: tuple[str, ...] = ("--version",)
    signs: tuple[Sign, ...] = ()
    rules: tuple[FailureRule, ...] = ()

    def command(
        self,
        *,
        script: Path,
        prompt: Path,
        model: str | None = None,
        effort: str | None = None,
        arguments: Sequence[str] = (),
    ) -> list[str]:
        places = {"script": str(script), "prompt": str(prompt), "model": model, "effort": effort}
        given = {name: value for name, value in places.items() if value is not None}
        words = [self.program, *_filled(self.argv, given, arguments)]
        return [*FROM_STDIN, str(prompt), *words] if self.prompt == "stdin" else words

    def read(self, output: bytes) -> Reading:
        """What it reported of itself, from the end of its output."""
        return read(output, self.signs)


def _filled(template: Template, given: Mapping[str, str], arguments: Sequence[str]) -> Iterable[str]:
    for part in template:
        if part == "{args}":
            yield from arguments
        elif isinstance(part, str):
            yield part.format_map(given)
        elif _has_all(part, given):
            yield from (word.format_map(given) for word in part)


def _has_all(group: Iterable[str], given: Mapping[str, str]) -> bool:
    text = " ".join(group)
    return all(f"{{{name}}}" not in text or name in given for name in ("model", "effort"))
