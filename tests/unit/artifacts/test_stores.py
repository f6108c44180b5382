"""The contract of a store of artifacts (70-43). A new kind of store joins by one more entry in STORES."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uuid_utils

from sluicegate.artifacts import ArtifactFolder, ArtifactStore, Stored
from sluicegate.errors import Invalid, NotFound

STORES: dict[str, Callable[[Path], ArtifactStore]] = {"folder": ArtifactFolder}
JOB = "0190b0a0-0000-7000-8000-000000000001"
OTHER = "0190b0a0-0000-7000-8000-000000000002"


@pytest.fixture(params=STORES.values(), ids=STORES)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    store: ArtifactStore = request.param(tmp_path / "artifacts")
    return store


async def put(files: ArtifactStore, *chunks: bytes, job: str = JOB, digest: str | None = None) -> Stored:
    async with files.upload(job, str(uuid_utils.uuid7())) as upload:
        for chunk in chunks:
            await upload.write(chunk)
        return await upload.finish(digest)


async def whole(files: ArtifactStore, stored: Stored, job: str = JOB, **part: int) -> bytes:
    return b"".join([chunk async for chunk in files.read(job, stored.artifact_id, stored.digest, **part)])


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def test_what_was_put_can_be_read(files: ArtifactStore) -> None:
    """Q-10"""
    stored = await put(files, b"hello ", b"world", digest=digest_of(b"hello world"))
    assert (stored.digest, stored.size_bytes) == (digest_of(b"hello world"), 11)
    assert await whole(files, stored) == b"hello world"
    assert await files.contents(JOB) == [stored]


async def test_empty_content_is_content(files: ArtifactStore) -> None:
    stored = await put(files)
    assert (stored.size_bytes, await whole(files, stored)) == (0, b"")
    assert await files.contents(JOB) == [stored]


@pytest.mark.parametrize(
    ("start", "size"), [(0, None), (0, 1), (3, None), (3, 4), (3, 0), (9, 5), (10, None), (11, 5), (0, 99)]
)
async def test_a_part_of_it(files: ArtifactStore, start: int, size: int | None) -> None:
    """What a request with a Range gets."""
    stored = await put(files, b"0123456789")
    end = None if size is None else start + size
    assert await whole(files, stored, start=start, size=size) == b"0123456789"[start:end]  # type: ignore[arg-type]


async def test_another_digest_keeps_nothing(files: ArtifactStore) -> None:
    """Q-10: a given digest that does not match is 422, nothing stored."""
    with pytest.raises(Invalid) as caught:
        await put(files, b"x", digest=digest_of(b"y"))
    assert caught.value.extra["errors"][0]["path"] == "digest"
    assert await files.contents(JOB) == []


@pytest.mark.parametrize("error", [ConnectionResetError, asyncio.CancelledError])
async def test_a_broken_upload_leaves_nothing(files: ArtifactStore, error: type[BaseException]) -> None:
    with pytest.raises(error):
        async with files.upload(JOB, str(uuid_utils.uuid7())) as upload:
            await upload.write(b"half" * 100_000)
            raise error
    assert await files.contents(JOB) == []


async def test_nothing_can_be_read_before_its_end(files: ArtifactStore) -> None:
    artifact_id = str(uuid_utils.uuid7())
    async with files.upload(JOB, artifact_id) as upload:
        await upload.write(b"x" * 1_000_000)
        assert await files.contents(JOB) == []
        with pytest.raises(NotFound):
            await whole(files, Stored(artifact_id, digest_of(b"x" * 1_000_000), 0))


async def test_the_same_content_twice_is_kept_twice(files: ArtifactStore) -> None:
    """Removing one artifact must never take the content of another, whatever goes on at the same time."""
    found = await asyncio.gather(*(put(files, b"a", b"b") for _ in range(20)))
    assert sorted(found) == await files.contents(JOB)
    assert len({stored.artifact_id for stored in found}) == 20
    for stored in found[1:]:
        await files.remove(JOB, stored.artifact_id, stored.digest)
        await files.remove(JOB, stored.artifact_id, stored.digest)
    assert await files.contents(JOB) == found[:1]
    assert await whole(files, found[0]) == b"ab"


async def test_who_reads_what_is_removed_reads_it_to_its_end(files: ArtifactStore) -> None:
    content = bytes(range(256)) * 8192
    stored = await put(files, content)
    chunks = files.read(JOB, stored.artifact_id, stored.digest)
    begun = await anext(chunks)
    await files.remove(JOB, stored.artifact_id, stored.digest)
    assert begun + b"".join([chunk async for chunk in chunks]) == content
    with pytest.raises(NotFound) as caught:
        await whole(files, stored)
    assert caught.value.code == "artifact_not_found"


async def test_deleting_a_job_takes_its_own_only(files: ArtifactStore) -> None:
    """Q-15: a job's files go with it; twice is as good as once."""
    gone, kept = await put(files, b"x"), await put(files, b"x", job=OTHER)
    await files.delete(JOB)
    await files.delete(JOB)
    with pytest.raises(NotFound):
        await whole(files, gone)
    assert await files.contents(JOB) == []
    assert await whole(files, kept, OTHER) == b"x"


async def test_an_upload_to_a_job_that_goes_keeps_nothing(files: ArtifactStore) -> None:
    """Q-15: deleted in the middle of an upload, the job has no files when both are through."""
    with pytest.raises(NotFound) as caught:
        async with files.upload(JOB, str(uuid_utils.uuid7())) as upload:
            await upload.write(b"x")
            await files.delete(JOB)
            await upload.finish()
    assert caught.value.code == "job_not_found"
    assert await files.contents(JOB) == []


async def test_memory_does_not_grow_with_the_content(files: ArtifactStore) -> None:
    """70-15: 64 MiB patches go through in the memory of a few chunks."""
    chunk = b"\0" * (1 << 20)
    tracemalloc.start()
    try:
        stored = await put(files, *[chunk] * 24)
        size = 0
        async for part in files.read(JOB, stored.artifact_id, stored.digest):
            size += len(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 24 << 20
    assert peak < 8 << 20


@pytest.mark.parametrize("job", ["", ".", "..", "../x", "a/b", JOB.upper().replace("0", "A"), JOB + "\n"])
async def test_nothing_but_an_id_names_a_job(files: ArtifactStore, tmp_path: Path, job: str) -> None:
    calls: list[Any] = [
        put(files, b"x", job=job),
        files.delete(job),
        files.contents(job),
        files.remove(job, OTHER, digest_of(b"")),
        whole(files, Stored(OTHER, digest_of(b""), 0), job),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            await call
    assert list(tmp_path.iterdir()) == []
