"""Says where the files of artifacts and the index of them disagree; removes what nobody names any more.

What is younger than a day is nobody's fault: a file is there before it is listed, and goes after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sluicegate.artifacts import ArtifactFolder
from sluicegate.model import ID_PATTERN
from sluicegate.store import Store, job_invariants, shelves
from sluicegate.store.findings import Finding, Findings
from sluicegate.store.shelves import Artifact
from sluicegate.times import now_ms

DAY_MS: Final = 86_400_000


async def survey(store: Store, files: ArtifactFolder) -> Findings:
    """What is listed and not there, and what is there and not listed."""
    async for page in job_invariants.pages_with_artifacts(store):
        for job_id in page:
            for artifact in await _lost(store, files, job_id):
                yield Finding("lost_file", job_id, artifact.name)
    for job_id in await asyncio.to_thread(_folders, files.root):
        if not await job_invariants.has_record(store, job_id):
            if await asyncio.to_thread(_is_old, files.root / job_id):
                yield Finding("stray_files", job_id)
        elif unnamed := await _unnamed(store, files, job_id):
            yield Finding("unnamed_files", job_id, _files(len(unnamed)), tuple(unnamed))


async def repair(store: Store, files: ArtifactFolder, findings: Sequence[Finding]) -> None:
    """Remove what `survey` found to be nobody's, unless it is somebody's by now."""
    for finding in findings:
        job_id = finding.it
        if finding.code == "stray_files" and not await job_invariants.has_record(store, job_id):
            await files.delete(job_id)
        elif finding.code == "unnamed_files":
            for artifact_id, digest in (await _unnamed(store, files, job_id)).items():
                await files.remove(job_id, artifact_id, digest)


async def _lost(store: Store, files: ArtifactFolder, job_id: str) -> list[Artifact]:
    """Listed before and after its content was looked for: what was replaced meanwhile may be gone."""
    listed = await shelves.artifacts(store, job_id)
    there = {stored.artifact_id for stored in await files.contents(job_id)}
    lost = [artifact for artifact in listed if artifact.id not in there]
    still = {artifact.id for artifact in await shelves.artifacts(store, job_id)} if lost else set()
    return [artifact for artifact in lost if artifact.id in still]


async def _unnamed(store: Store, files: ArtifactFolder, job_id: str) -> dict[str, str]:
    """Ids and digests of contents that no list shows, a day after they came."""
    there = {stored.artifact_id: stored.digest for stored in await files.contents(job_id)}
    old = {artifact_id for artifact_id in there if _drawn_ms(artifact_id) < now_ms() - DAY_MS}
    if not old:
        return {}
    listed = {artifact.id for artifact in await shelves.artifacts(store, job_id)}
    return {artifact_id: there[artifact_id] for artifact_id in sorted(old - listed)}


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if ID_PATTERN.fullmatch(path.name))


def _is_old(folder: Path) -> bool:
    try:
        return folder.stat().st_mtime * 1000 < now_ms() - DAY_MS
    except FileNotFoundError:
        return False


def _drawn_ms(artifact_id: str) -> int:
    """When an artifact's id was drawn: a UUIDv7 begins with the time."""
    return int(artifact_id.replace("-", "")[:12], 16)


def _files(number: int) -> str:
    return "a file" if number == 1 else f"{number} files"
