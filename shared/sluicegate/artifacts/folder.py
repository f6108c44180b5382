"""A folder as the store of artifacts: `<root>/<job id>/<sha256>.<artifact id>`.

Content is written beside its place, synced, then renamed into it. A process that dies in between leaves a
`.upload-` file, which goes with its job.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Final

from sluicegate.artifacts.store import Stored, Upload
from sluicegate.errors import Invalid, NotFound, StorageFull
from sluicegate.log import log
from sluicegate.model import ID_PATTERN

CHUNK_BYTES: Final = 256 * 1024
UPLOADING: Final = ".upload-"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PLACE: Final = re.compile(r"([0-9a-f]{64})\.([0-9a-f-]{36})")


class ArtifactFolder:
    def __init__(self, root: Path) -> None:
        self.root = root

    @asynccontextmanager
    async def upload(self, job_id: str, artifact_id: str) -> AsyncIterator[Upload]:
        folder = self._folder(job_id)
        # Here and not in a thread: cancelled in between, nobody would know of the file.
        file = _create(folder, artifact_id)
        try:
            yield _FileUpload(file, folder, artifact_id)
        finally:
            await asyncio.to_thread(_discard, file, folder)

    async def read(
        self, job_id: str, artifact_id: str, digest: str, *, start: int = 0, size: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in chunks_of(self.place(job_id, artifact_id, digest), start=start, size=size):
                yield chunk
        except FileNotFoundError:
            raise NotFound(f"no content {digest} of job {job_id}", code="artifact_not_found") from None

    async def contents(self, job_id: str) -> list[Stored]:
        return await asyncio.to_thread(_contents, self._folder(job_id))

    async def remove(self, job_id: str, artifact_id: str, digest: str) -> None:
        place = self.place(job_id, artifact_id, digest)
        await asyncio.to_thread(place.unlink, missing_ok=True)
        await asyncio.to_thread(_remove_if_empty, place.parent)

    async def delete(self, job_id: str) -> None:
        await asyncio.to_thread(_remove_tree, self._folder(job_id))

    def place(self, job_id: str, artifact_id: str, digest: str) -> Path:
        """Where the content is, if it is there."""
        name = f"{digest.removeprefix('sha256:')}.{artifact_id}"
        if not _PLACE.fullmatch(name):
            raise NotFound(f"no content {digest!r}", code="artifact_not_found")
        return self._folder(job_id) / name

    def _folder(self, job_id: str) -> Path:
        """Job ids become paths here, so nothing but an id gets through."""
        if not ID_PATTERN.fullmatch(job_id):
            raise NotFound(f"no job {job_id!r}", code="job_not_found")
        return self.root / job_id


class _FileUpload:
    def __init__(self, file: BufferedWriter, folder: Path, artifact_id: str) -> None:
        self._file = file
        self._folder = folder
        self._id = artifact_id
        self._hash = hashlib.sha256()
        self._size = 0
        self._held = bytearray()

    async def write(self, chunk: bytes) -> None:
        """Gathered to CHUNK_BYTES: a change of thread for each packet would cost more than the writing."""
        self._held += chunk
        if len(self._held) >= CHUNK_BYTES:
            await asyncio.to_thread(self._write)

    async def finish(self, digest: str | None = None) -> Stored:
        return await asyncio.to_thread(self._finish, digest)

    def _write(self) -> None:
        chunk, self._held = self._held, bytearray()
        self._hash.update(chunk)
        self._size += len(chunk)
        with _room():
            self._file.write(chunk)

    def _finish(self, digest: str | None) -> Stored:
        self._write()
        found = f"sha256:{self._hash.hexdigest()}"
        if digest is not None and digest != found:
            raise Invalid.field("digest", f"the content has {found}")
        with _room():
            self._file.flush()
            os.fsync(self._file.fileno())
        try:
            Path(self._file.name).rename(self._folder / f"{self._hash.hexdigest()}.{self._id}")
            for folder in (self._folder, self._folder.parent):  # the entry, and the job's folder if it is new
                _sync(folder)
        except FileNotFoundError:
            raise NotFound(f"job {self._folder.name} was removed meanwhile", code="job_not_found") from None
        return Stored(self._id, found, self._size)


async def chunks_of(path: Path, *, start: int = 0, size: int | None = None) -> AsyncIterator[bytes]:
    """A file on this machine, or `size` bytes of it from `start` on, as chunks read outside the loop."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        file.seek(start)
        while size is None or size > 0:
            wanted = CHUNK_BYTES if size is None else min(size, CHUNK_BYTES)
            chunk = await asyncio.to_thread(file.read, wanted)
            if not chunk:
                return
            if size is not None:
                size -= len(chunk)
            yield chunk
    finally:
        file.close()


def _create(folder: Path, artifact_id: str) -> BufferedWriter:
    """A new file in a folder that others may be removing because it was empty."""
    while True:
        with _room():
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileExistsError:  # said too of a folder that goes just then
                if folder.is_file():
                    raise
                continue
            with contextlib.suppress(FileNotFoundError):
                return (folder / f"{UPLOADING}{artifact_id}").open("xb")


def _discard(file: BufferedWriter, folder: Path) -> None:
    """Of a finished upload nothing is left here, of any other nothing at all."""
    with contextlib.suppress(OSError):  # what could not be written for want of room is not wanted any more
        file.close()
    Path(file.name).unlink(missing_ok=True)
    _remove_if_empty(folder)


def _contents(folder: Path) -> list[Stored]:
    try:
        entries = [(_PLACE.fullmatch(entry.name), entry) for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return sorted(
        Stored(place[2], f"sha256:{place[1]}", entry.stat().st_size) for place, entry in entries if place
    )


def _remove_tree(folder: Path) -> None:
    """Again while uploads put files into it; they end, since nobody may upload to a job that goes."""
    while True:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            if not folder.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _room() -> Iterator[None]:
    """A full disk is told apart from a broken one."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            log.warning("storage_full", error=error)
            raise StorageFull(f"no room for the artifact: {os.strerror(error.errno)}") from error
        raise
