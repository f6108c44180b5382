"""What is old goes: ended jobs with their files and keys, audit entries once they are exported (Q-15)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from sluicegate import artifacts
from sluicegate.loop import Counts, Loop
from sluicegate.settings import SweeperSettings
from sluicegate.store import Store, audit, retention


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
            "dead_letters": await self._remove("dead_letter", None, settings.retention_max_dead_letters),
            "audit": await self._export_audit(),
        }

    async def _remove(self, status: str, seconds: float | None, keep: int) -> int:
        older_than_ms = -1 if seconds is None else int(seconds * 1000)
        job_ids = await retention.due(self._store, status, older_than_ms=older_than_ms, keep=keep)
        if not job_ids:
            return 0
        for job_id in job_ids:
            await self._files.delete(job_id)
        return sum(error is None for error in await retention.remove(self._store, status, job_ids))

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
