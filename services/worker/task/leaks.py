"""Finds known secrets in what a step changed, before anything of it is stored (70-31)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.worker.task.git import Git
from services.worker.task.work_tree import Change

CHUNK_BYTES: Final = 256 * 1024


async def leaking_file(
    git: Git, changes: Sequence[Change], patch: Path, secrets: Sequence[bytes]
) -> str | None:
    """The first changed file that brings a secret in, in its name or content; None when none does.

    A patch may also show a secret that the repository had before, in a removed line or around a change:
    that must not be stored either, so the file counts as leaking.
    """
    if not secrets or not changes:
        return None
    for change in changes:
        if any(secret in change.path for secret in secrets):
            return "a file whose name is one"
    async with git.blobs() as (ask, answer):
        blobs = Blobs(ask, answer)
        for change in changes:
            if change.after is None:
                continue
            found = await blobs.which(change.after, secrets)
            if found and not (change.before and found <= await blobs.which(change.before, secrets)):
                return change.name
        shown = await asyncio.to_thread(_in_file, patch, secrets)
        if not shown:
            return None
        for change in changes:
            for blob in (change.before, change.after):
                if blob and shown & await blobs.which(blob, secrets):
                    return change.name
    return patch.name


class Found:
    """Which of the secrets have gone by, in content that comes in chunks."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._overlap = max(map(len, secrets)) - 1
        self._missing = set(secrets)
        self._tail = b""
        self.secrets: set[bytes] = set()

    def feed(self, chunk: bytes) -> None:
        window = self._tail + chunk
        for secret in [each for each in self._missing if each in window]:
            self._missing.discard(secret)
            self.secrets.add(secret)
        self._tail = window[-self._overlap :] if self._overlap else b""


class Blobs:
    """Reads blobs through one `git cat-file --batch`, in chunks."""

    def __init__(self, ask: asyncio.StreamWriter, answer: asyncio.StreamReader) -> None:
        self._ask = ask
        self._answer = answer

    async def which(self, blob: str, secrets: Sequence[bytes]) -> set[bytes]:
        self._ask.write(f"{blob}\n".encode())
        await self._ask.drain()
        header = (await self._answer.readline()).split()
        left = int(header[2])
        found = Found(secrets)
        while left:
            chunk = await self._answer.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise EOFError(f"git cat-file ended within blob {blob}")
            left -= len(chunk)
            found.feed(chunk)
        await self._answer.readexactly(1)
        return found.secrets


def _in_file(path: Path, secrets: Sequence[bytes]) -> set[bytes]:
    found = Found(secrets)
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.feed(chunk)
    return found.secrets
