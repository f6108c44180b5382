"""What is old goes: ended jobs with their files and keys, audit entries once they are exported (Q-15)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from sluicegate import artifacts
from sluicegate.errors import RequestError
from sluicegate.loop import Counts, Loop
from sluicegate.operations import removal
from sluicegate.settings import SweeperSettings
from sluicegate.store import Store, audit, dead_letters, retention, tokens

ABANDONED_MS: Final = 60_000
"""A purge that began so long ago was cut short: nobody is at it any more."""


class Retention(Loop):
    """Files first, keys after: a job whose removal was cut short is found again by the next pass."""

    name = "retention"

    def __init__(self, store: Store, settings: SweeperSettings) -> None:
        super().__init__(settings.retention_interval_seconds)
        self._store = store
        self._settings = settings
        self._files = artifacts.open_store(settings)

    async def run_once(self) -> Counts:
        settings = self._settings
        keep = settings.retention_max_jobs
        return {
            "succeeded": await self._remove("succeeded", settings.retention_succeeded_seconds, keep),
            "failed": await self._remove("failed", settings.retention_failed_seconds, keep),
            "cancelled": await self._remove("cancelled", settings.retention_cancelled_seconds, keep),
            "dead_letters": await self._remove_dead_letters(),
            "audit": await self._export_audit(),
            "tokens": await tokens.forget_dead(self._store),
        }

    async def _remove(self, status: str, seconds: float, keep: int) -> int:
        job_ids = await retention.due(self._store, status, older_than_ms=int(seconds * 1000), keep=keep)
        if not job_ids:
            return 0
        return _done(await removal.remove(self._store, self._files, status, job_ids))

    async def _remove_dead_letters(self) -> int:
        """Those past their number, and what is left of a purge that was cut short."""
        begun = await dead_letters.condemned(self._store, older_than_ms=ABANDONED_MS)
        keep = self._settings.retention_max_dead_letters
        over = await retention.due(self._store, "dead_letter", older_than_ms=-1, keep=keep)
        job_ids = list(dict.fromkeys((*begun, *over)))
        return _done(await removal.purge(self._store, self._files, job_ids)) if job_ids else 0

    async def _export_audit(self) -> int:
        """Append the oldest entries to a file, safely on disk, before the store forgets them."""
        entries = await retention.oldest_audit(
            self._store,
            older_than_ms=int(self._settings.retention_audit_seconds * 1000),
            keep=self._settings.retention_max_audit,
        )
        if not entries:
            return 0
        lines = b"".join(msgspec.json.encode(audit.render(*entry)) + b"\n" for entry in entries)
        await asyncio.to_thread(_append_synced, self._settings.data_dir / "audit" / "audit.jsonl", lines)
        await retention.drop_audit(self._store, [entry_id for entry_id, _ in entries])
        return len(entries)


def _done(outcomes: Sequence[RequestError | None]) -> int:
    return sum(error is None for error in outcomes)


def _append_synced(path: Path, lines: bytes) -> None:
    """A crash may leave half a line: what follows starts on a line of its own, or it would be lost too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                lines = b"\n" + lines
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
