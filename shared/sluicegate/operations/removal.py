"""Removing jobs that have ended: files first, keys after, so that no file is left without its job (Q-15)."""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate.artifacts import ArtifactStore
from sluicegate.errors import RequestError
from sluicegate.store import Store, dead_letters, retention


async def remove(
    store: Store, files: ArtifactStore, status: str, job_ids: Sequence[str]
) -> list[RequestError | None]:
    """Remove ended jobs that nothing can bring back; per id None, or why not. May be repeated.

    If it is cut short between files and keys, the job is still there to be removed again. Dead letters
    can come back: they go by `purge`.
    """
    for job_id in job_ids:
        await files.delete(job_id)
    return await retention.remove(store, status, job_ids)


async def purge(
    store: Store,
    files: ArtifactStore,
    job_ids: Sequence[str],
    *,
    actor: str | None = None,
    reason: str | None = None,
) -> list[RequestError | None]:
    """Remove dead letters; per id None, or why not. Audited with an actor; retention has none.

    Each is condemned before its first file goes. Otherwise a redrive could come in between, and its worker
    would miss the patches of finished steps; and a purge that dies half way would be in no audit. Cut short
    after that, it is ended by whoever repeats it, or by the sweeper.
    """
    outcomes = await dead_letters.condemn(store, job_ids, actor=actor, reason=reason)
    condemned = [job_id for job_id, error in zip(job_ids, outcomes, strict=True) if error is None]
    removed = dict(
        zip(condemned, await remove(store, files, "dead_letter", condemned), strict=True) if condemned else ()
    )
    return [error or removed[job_id] for job_id, error in zip(job_ids, outcomes, strict=True)]
