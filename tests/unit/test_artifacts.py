"""Artifacts are whole, under their job's folder, within the limit, or they are not there."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluicegate.artifacts import ArtifactFolder, checked_content_type, checked_name, chunks_of
from sluicegate.errors import Invalid, NotFound, TooLarge

JOB = "0190b0a0-0000-7000-8000-000000000001"
OTHER = "0190b0a0-0000-7000-8000-000000000002"


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def whole(files: ArtifactFolder, job: str, digest: str) -> bytes:
    return b"".join([chunk async for chunk in files.read(job, digest)])


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_content_is_kept_once_by_its_hash(tmp_path: Path) -> None:
    """Q-10: under the job's own folder, named by content hash."""
    files = ArtifactFolder(tmp_path)
    digest = hashlib.sha256(b"hello world").hexdigest()
    first = await files.save(JOB, pieces(b"hello ", b"world"), limit=11)
    assert first == await files.save(JOB, pieces(b"hello world"), limit=11, digest=f"sha256:{digest}")
    assert first == (f"sha256:{digest}", 11)
    assert names(tmp_path) == [f"{JOB}/{digest}"]
    assert await whole(files, JOB, first.digest) == b"hello world"


async def test_empty_content_is_content(tmp_path: Path) -> None:
    files = ArtifactFolder(tmp_path)
    stored = await files.save(JOB, pieces(), limit=1)
    assert (stored.size_bytes, await whole(files, JOB, stored.digest)) == (0, b"")


async def test_past_the_limit_nothing_is_kept(tmp_path: Path) -> None:
    """Q-10: 413 while streaming, before the whole is read."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1000

    with pytest.raises(TooLarge) as caught:
        await ArtifactFolder(tmp_path).save(JOB, endless(), limit=4500)
    assert (caught.value.code, read, names(tmp_path)) == ("artifact_too_large", 5, [])


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "sha256:x", "md5:0", ""])
async def test_another_digest_keeps_nothing(tmp_path: Path, digest: str) -> None:
    """Q-10: a given digest that does not match is 422, nothing stored."""
    with pytest.raises(Invalid) as caught:
        await ArtifactFolder(tmp_path).save(JOB, pieces(b"x"), limit=10, digest=digest)
    assert caught.value.extra["errors"][0]["path"] == "digest"
    assert names(tmp_path) == []


async def test_a_broken_upload_leaves_nothing(tmp_path: Path) -> None:
    """A client that goes away in mid-upload, or is cancelled, leaves no half file behind."""

    async def breaks() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await ArtifactFolder(tmp_path).save(JOB, breaks(), limit=10)
    assert names(tmp_path) == []


async def test_memory_does_not_grow_with_the_content(tmp_path: Path) -> None:
    """70-15: 64 MiB patches go through in the memory of a few chunks."""
    chunk = b"\0" * (1 << 20)

    async def large() -> AsyncIterator[bytes]:
        for _ in range(24):
            yield chunk

    files = ArtifactFolder(tmp_path)
    tracemalloc.start()
    try:
        stored = await files.save(JOB, large(), limit=32 << 20)
        size = 0
        async for part in files.read(JOB, stored.digest):
            size += len(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 24 << 20
    assert peak < 4 << 20


async def test_many_uploads_of_one_content_at_once(tmp_path: Path) -> None:
    files = ArtifactFolder(tmp_path)
    found = await asyncio.gather(*(files.save(JOB, pieces(b"a", b"b"), limit=9) for _ in range(20)))
    assert len(set(found)) == 1
    assert len(names(tmp_path)) == 1


async def test_deleting_a_job_takes_its_folder_only(tmp_path: Path) -> None:
    """Q-15: a job's files go with it; twice is as good as once."""
    files = ArtifactFolder(tmp_path)
    gone = await files.save(JOB, pieces(b"x"), limit=9)
    kept = await files.save(OTHER, pieces(b"x"), limit=9)
    await files.delete(JOB)
    await files.delete(JOB)
    with pytest.raises(NotFound) as caught:
        await whole(files, JOB, gone.digest)
    assert caught.value.code == "artifact_not_found"
    assert await whole(files, OTHER, kept.digest) == b"x"


@pytest.mark.parametrize("job", ["", ".", "..", "../x", "a/b", JOB.upper().replace("0", "A"), JOB + "\n"])
async def test_nothing_but_an_id_becomes_a_path(tmp_path: Path, job: str) -> None:
    files = ArtifactFolder(tmp_path / "root")
    for attempt in (
        files.save(job, pieces(b"x"), limit=9),
        files.delete(job),
        whole(files, job, "sha256:" + "0" * 64),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["a", "patches/steps/step-0001.patch", "ü/ä.txt", "a..b", ".hidden", "a b"])
def test_safe_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "../a",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a/.",
        "a\\b",
        "c:/a",
        "a\nb",
        "a\x00",
        "~/a",
        "ä" * 128,
    ],
)
def test_unsafe_names(name: str) -> None:
    """Q-10: the name is a safe relative path, else 422."""
    with pytest.raises(Invalid) as caught:
        checked_name(name)
    assert caught.value.extra["errors"][0]["path"] == "name"


def test_content_types() -> None:
    assert checked_content_type("text/plain; charset=utf-8")
    for bad in ("", "text", "text/html\r\nX: y", "a/b; c\n"):
        with pytest.raises(Invalid):
            checked_content_type(bad)


async def test_a_file_as_chunks(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"ab" * 300_000)
    assert b"".join([chunk async for chunk in chunks_of(path)]) == path.read_bytes()
