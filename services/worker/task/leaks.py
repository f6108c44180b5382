"""Finds secrets in what a step changed, before anything of it is stored (70-31).

Strings that only look like a token count when the step brought them in: a repository may have had some
before, as examples. Passwords in URLs do not count, there are too many that open nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Final, cast

from services.worker.task.git import Git
from services.worker.task.spoken_to import Process
from services.worker.task.work_tree import Change
from sluicegate.redact import Redactor, SecretFinder

CHUNK_BYTES: Final = 256 * 1024


async def leaking_file(
    git: Git, changes: Sequence[Change], patch: Path, redactor: Redactor, *, tokens: bool
) -> str | None:
    """The first changed file that brings a secret in, in its name or content; None when none does.

    tokens: whether strings with the shape of one count, beside known values. A patch may also show a known
    value that the repository had before, in a removed line or around a change: that must not be stored
    either, so the file counts as leaking.
    """
    if not changes or not (tokens or redactor.knows_any):
        return None
    for change in changes:
        if _told(SecretFinder(redactor).look(change.path), tokens):
            return "a file whose name is one"
    return await git.with_blobs(partial(_leaking, changes, patch, redactor, tokens))


def _leaking(
    changes: Sequence[Change], patch: Path, redactor: Redactor, tokens: bool, process: Process
) -> str | None:
    blobs = Blobs(process, redactor)
    for change in changes:
        if change.after is None:
            continue
        found = _told(blobs.searched(change.after), tokens)
        if found and not (change.before and found <= _told(blobs.searched(change.before), tokens)):
            return change.name
    shown = _values_in_file(patch, redactor)
    if not shown:
        return None
    for change in changes:
        for blob in (change.before, change.after):
            if blob and shown & blobs.searched(blob).values:
                return change.name
    return patch.name


def _told(finder: SecretFinder, tokens: bool) -> set[bytes]:
    return finder.values | finder.tokens if tokens else finder.values


class Blobs:
    """Searches blobs through one `git cat-file --batch`, in chunks."""

    def __init__(self, process: Process, redactor: Redactor) -> None:
        self._ask = cast(IO[bytes], process.stdin)
        self._answer = cast(IO[bytes], process.stdout)
        self._redactor = redactor

    def searched(self, blob: str) -> SecretFinder:
        self._ask.write(f"{blob}\n".encode())
        self._ask.flush()
        header = self._answer.readline().split()
        if not header:
            raise EOFError(f"git cat-file ended before blob {blob}")
        left = int(header[2])
        finder = SecretFinder(self._redactor)
        while left:
            chunk = self._answer.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise EOFError(f"git cat-file ended within blob {blob}")
            left -= len(chunk)
            finder.feed(chunk)
        finder.close()
        self._answer.read(1)
        return finder


def _values_in_file(path: Path, redactor: Redactor) -> set[bytes]:
    finder = SecretFinder(redactor)
    if redactor.knows_any:
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                finder.feed(chunk)
    finder.close()
    return finder.values
