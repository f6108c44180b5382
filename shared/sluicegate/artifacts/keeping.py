"""Content into the store, then its entry into the job's index, under the attempt's lease.

In this order a crash leaves content that no list shows, and that goes with its job; the other way round it
would leave entries without content. Whoever replaces an entry learns from the same script which one it was,
so one caller alone removes what was replaced.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import uuid_utils

from sluicegate.artifacts.checks import checked_content_type, checked_digest, checked_name
from sluicegate.artifacts.store import ArtifactStore, Upload
from sluicegate.errors import RequestError, TooLarge
from sluicegate.log import log
from sluicegate.store import Store
from sluicegate.store.shelves import Artifact, artifacts, record_artifact
from sluicegate.times import now_ms, to_rfc3339


class Incoming:
    """An artifact whose content comes before, or with, what it is called. Leaving the block drops it.

    limit: the most bytes it may have; it may be lowered while they come.
    """

    def __init__(self, store: Store, files: ArtifactStore, job_id: str, limit: int) -> None:
        self.limit = limit
        self._store = store
        self._files = files
        self._job_id = job_id
        self._id = str(uuid_utils.uuid7())
        self._size = 0
        self._upload: Upload

    @classmethod
    @asynccontextmanager
    async def open(
        cls, store: Store, files: ArtifactStore, job_id: str, *, limit: int
    ) -> AsyncIterator[Self]:
        incoming = cls(store, files, job_id, limit)
        async with files.upload(job_id, incoming._id) as incoming._upload:
            yield incoming

    async def take(self, chunks: AsyncIterable[bytes]) -> None:
        """Raises TooLarge (artifact_too_large) as soon as it is over the limit, StorageFull."""
        async for chunk in chunks:
            self._size += len(chunk)
            self.require_size(self.limit)
            await self._upload.write(chunk)

    def require_size(self, limit: int) -> None:
        if self._size > limit:
            raise TooLarge(f"the artifact is over {limit:,} bytes", code="artifact_too_large")

    async def keep(
        self,
        name: str,
        *,
        worker_id: str,
        lease_token: int,
        content_type: str = "application/octet-stream",
        digest: str | None = None,
    ) -> Artifact:
        """Keep what was taken under this name; an artifact that had it is replaced, and its content removed.

        Raises Invalid, TooLarge, StorageFull, and LeaseLost, Conflict or NotFound: nothing is kept then.
        After StoreUnavailable or OutcomeUnknown it may be kept: send it again.
        """
        checked_name(name)
        checked_content_type(content_type)
        stored = await self._upload.finish(checked_digest(digest))
        artifact = Artifact(
            id=self._id,
            job_id=self._job_id,
            name=name,
            content_type=content_type,
            size_bytes=stored.size_bytes,
            digest=stored.digest,
            created_at=to_rfc3339(now_ms()),
        )
        try:
            replaced = await record_artifact(self._store, worker_id, lease_token, artifact)
        except RequestError:
            await self._drop(artifact)
            raise
        if replaced is not None:
            await _remove(self._files, replaced)
        return artifact

    async def _drop(self, refused: Artifact) -> None:
        """Remove content that no entry names: its job may be gone by now, and nothing else would remove it.

        A call to the store that had to be sent twice may have been refused the second time only.
        """
        if all(each.id != refused.id for each in await artifacts(self._store, self._job_id)):
            await _remove(self._files, refused)


async def keep(
    store: Store,
    files: ArtifactStore,
    name: str,
    chunks: AsyncIterable[bytes],
    *,
    job_id: str,
    worker_id: str,
    lease_token: int,
    limit: int,
    content_type: str = "application/octet-stream",
    digest: str | None = None,
) -> Artifact:
    """Store an artifact of a running job; the same name again replaces. Raises as `Incoming.keep`."""
    checked_name(name)
    checked_content_type(content_type)
    checked_digest(digest)
    async with Incoming.open(store, files, job_id, limit=limit) as incoming:
        await incoming.take(chunks)
        return await incoming.keep(
            name, worker_id=worker_id, lease_token=lease_token, content_type=content_type, digest=digest
        )


async def _remove(files: ArtifactStore, artifact: Artifact) -> None:
    """What cannot be removed goes with the job: no reason to refuse an artifact that is kept."""
    try:
        await files.remove(artifact.job_id, artifact.id, artifact.digest)
    except OSError as error:
        log.warning("artifact_not_removed", error=error, job_id=artifact.job_id, digest=artifact.digest)
