"""Artifacts: files of a job, kept under its own folder by the hash of their content (Q-10, 70-15).

`ArtifactStore` is what other code knows; `ArtifactFolder` keeps them in a folder (`file:`). What a store
holds is whole and safe on disk, or not there: a broken upload leaves nothing that anyone can read.
`keep` stores content and then its entry in the index, under the attempt's lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol

import uuid_utils

from sluicegate.errors import Invalid, NotFound, TooLarge
from sluicegate.model import ID_PATTERN
from sluicegate.settings import Settings
from sluicegate.store import Store
from sluicegate.store.shelves import Artifact, record_artifact
from sluicegate.times import now_ms, to_rfc3339

CHUNK_BYTES: Final = 256 * 1024
MAX_NAME: Final = 255
UPLOADING: Final = ".upload-"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_CONTENT_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(; ?[\x20-\x7e]{1,127})?"
)


class Stored(NamedTuple):
    digest: str
    """`sha256:<64 hexadecimal digits>`."""
    size_bytes: int


class ArtifactStore(Protocol):
    """Where the content of artifacts is. Names are not its matter: it knows jobs and digests."""

    async def save(
        self, job_id: str, chunks: AsyncIterable[bytes], *, limit: int, digest: str | None = None
    ) -> Stored:
        """Keep the content, in constant memory. The same content again is kept once.

        Raises TooLarge (artifact_too_large) past `limit` bytes, and Invalid when `digest` is given and is
        another; nothing is kept then.
        """

    def read(self, job_id: str, digest: str) -> AsyncIterator[bytes]:
        """The content, in chunks. Raises NotFound (artifact_not_found)."""

    async def delete(self, job_id: str) -> None:
        """Everything of this job. May be repeated."""


def open_store(settings: Settings) -> ArtifactStore:
    """The store that SLUICEGATE_ARTIFACTS_URL names. Raises ConfigurationError."""
    return ArtifactFolder(settings.artifacts_dir)


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
    """Store an artifact of a running job; the same name again replaces.

    Raises Invalid, TooLarge, NotFound, and LeaseLost: then the content may stay until the job is removed,
    but no list shows it.
    """
    checked_name(name)
    checked_content_type(content_type)
    stored = await files.save(job_id, chunks, limit=limit, digest=digest)
    artifact = Artifact(
        id=str(uuid_utils.uuid7()),
        job_id=job_id,
        name=name,
        content_type=content_type,
        size_bytes=stored.size_bytes,
        digest=stored.digest,
        created_at=to_rfc3339(now_ms()),
    )
    await record_artifact(store, worker_id, lease_token, artifact)
    return artifact


def checked_name(name: str) -> str:
    """The name, if it is a relative path that is safe on every system; else Invalid."""
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME:
        problem = f"must have 1 to {MAX_NAME} bytes"
    elif not name.isprintable() or "\\" in name or ":" in name:
        problem = "must be printable, with no backslash and no colon"
    elif any(part in ("", ".", "..") for part in parts) or parts[0].startswith("~"):
        problem = "must be a relative path that stays in its folder"
    else:
        return name
    raise Invalid.field("name", problem)


def checked_content_type(content_type: str) -> str:
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise Invalid.field("contentType", "must be a media type, like text/plain")
    return content_type


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """A file on this machine as chunks, read outside the loop."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


class ArtifactFolder:
    """`<root>/<job id>/<sha256>`: written beside its place, synced, then renamed into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def save(
        self, job_id: str, chunks: AsyncIterable[bytes], *, limit: int, digest: str | None = None
    ) -> Stored:
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise Invalid.field("digest", "must be sha256:<64 hexadecimal digits>")
        with _Upload(self._folder(job_id), limit) as upload:
            async for chunk in chunks:
                await asyncio.to_thread(upload.write, chunk)
            return await asyncio.to_thread(upload.finish, digest)

    async def read(self, job_id: str, digest: str) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks_of(self.place(job_id, digest)):
                yield chunk
        except FileNotFoundError:
            raise NotFound(f"no content {digest} of job {job_id}", code="artifact_not_found") from None

    async def delete(self, job_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, self._folder(job_id))

    def place(self, job_id: str, digest: str) -> Path:
        """Where the content is, if it is there."""
        found = _DIGEST.fullmatch(digest)
        if not found:
            raise NotFound(f"no content {digest!r}", code="artifact_not_found")
        return self._folder(job_id) / found[1]

    def _folder(self, job_id: str) -> Path:
        """Job ids become paths here, so nothing but an id gets through."""
        if not ID_PATTERN.fullmatch(job_id):
            raise NotFound(f"no job {job_id!r}", code="job_not_found")
        return self.root / job_id


class _Upload:
    """One file on its way. Leaving without `finish` removes it."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._limit = limit
        self._path = folder / f"{UPLOADING}{secrets.token_hex(8)}"
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> _Upload:
        self._file = self._path.open("xb")
        return self

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise TooLarge(f"the artifact is over {self._limit} bytes", code="artifact_too_large")
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self, digest: str | None) -> Stored:
        found = f"sha256:{self._hash.hexdigest()}"
        if digest is not None and digest != found:
            raise Invalid.field("digest", f"the content has {found}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.rename(self._folder / self._hash.hexdigest())
        for folder in (self._folder, self._folder.parent):  # the entry, and the job's folder if it is new
            _sync(folder)
        return Stored(found, self._size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
