"""What any store of artifacts does, be it a folder or a bucket; one set of tests holds each kind to it.

Names and leases are not its matter: it knows jobs, and content by the id of its artifact and its digest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class Stored(NamedTuple):
    """The content of one artifact, as it lies in a store."""

    artifact_id: str
    digest: str
    """`sha256:<64 hexadecimal digits>`."""
    size_bytes: int


class Upload(Protocol):
    """Content on its way, in constant memory. Until `finish` nobody can read it, or ever will."""

    async def write(self, chunk: bytes) -> None:
        """Raises StorageFull."""

    async def finish(self, digest: str | None = None) -> Stored:
        """Make it readable: whole, and safe on disk.

        Raises Invalid when a `digest` is given and is another, StorageFull, NotFound (job_not_found) when
        the job's content was deleted meanwhile. Nothing is kept then.
        """


class ArtifactStore(Protocol):
    def upload(self, job_id: str, artifact_id: str) -> AbstractAsyncContextManager[Upload]:
        """Take content in. Leaving the block without `finish` leaves nothing behind.

        artifact_id: of this upload alone, so that nothing is ever overwritten.
        """

    def read(
        self, job_id: str, artifact_id: str, digest: str, *, start: int = 0, size: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The content from byte `start` on, `size` bytes of it or all, in chunks.

        Raises NotFound (artifact_not_found) before the first chunk. What was begun is read to its end even if
        it is removed meanwhile.
        """

    async def contents(self, job_id: str) -> list[Stored]:
        """All that is kept of a job; empty for one that is not known."""

    async def remove(self, job_id: str, artifact_id: str, digest: str) -> None:
        """One content. May be repeated."""

    async def delete(self, job_id: str) -> None:
        """Everything of this job, uploads under way included. May be repeated."""
