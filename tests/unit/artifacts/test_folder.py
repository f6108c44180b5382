"""A folder as the store of artifacts: where things lie, and what an error or a crash leaves there."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
import uuid_utils

from sluicegate.artifacts import ArtifactFolder, chunks_of
from sluicegate.errors import NotFound

JOB = "0190b0a0-0000-7000-8000-000000000001"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


async def test_content_lies_under_its_job_by_its_hash(tmp_path: Path) -> None:
    """Q-10: under the job's own folder, named by content hash."""
    artifact_id = str(uuid_utils.uuid7())
    async with ArtifactFolder(tmp_path).upload(JOB, artifact_id) as upload:
        await upload.write(b"hello")
        await upload.finish()
    assert names(tmp_path) == [JOB, f"{JOB}/{hashlib.sha256(b'hello').hexdigest()}.{artifact_id}"]


async def test_a_job_without_files_has_no_folder(tmp_path: Path) -> None:
    """Otherwise an upload that is refused would leave an empty one for every id that anybody makes up."""
    files = ArtifactFolder(tmp_path)
    artifact_id = str(uuid_utils.uuid7())
    async with files.upload(JOB, artifact_id) as upload:
        await upload.write(b"x")
    assert names(tmp_path) == []
    async with files.upload(JOB, artifact_id) as upload:
        stored = await upload.finish()
    await files.remove(JOB, *stored[:2])
    assert names(tmp_path) == []


async def test_uploads_and_removals_at_once(tmp_path: Path) -> None:
    """The folder comes and goes as the last one in it ends: an upload that begins then makes it anew."""
    files = ArtifactFolder(tmp_path)

    async def one() -> None:
        for _ in range(20):
            async with files.upload(JOB, str(uuid_utils.uuid7())) as upload:
                await upload.write(b"x")
                stored = await upload.finish()
            await files.remove(JOB, *stored[:2])

    await asyncio.gather(*(one() for _ in range(8)))
    assert names(tmp_path) == []


async def test_a_folder_that_goes_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pathlib says then that it exists, for it looks only after the system has said so."""
    answers = [FileExistsError()]
    make = Path.mkdir

    def mkdir(path: Path, **options: bool) -> None:
        if answers:
            raise answers.pop()
        make(path, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    async with ArtifactFolder(tmp_path).upload(JOB, str(uuid_utils.uuid7())) as upload:
        await upload.finish()
    other = str(uuid_utils.uuid7())
    (tmp_path / other).touch()
    with pytest.raises(FileExistsError):
        async with ArtifactFolder(tmp_path).upload(other, str(uuid_utils.uuid7())):
            pass


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:" + "g" * 64, "sha256:../../x", "md5:" + "0" * 64])
async def test_nothing_but_a_digest_names_content(tmp_path: Path, digest: str) -> None:
    files = ArtifactFolder(tmp_path)
    with pytest.raises(NotFound):
        files.place(JOB, str(uuid_utils.uuid7()), digest)
    with pytest.raises(NotFound):
        files.place(JOB, "../../../../../../../../../../../etc/x", "sha256:" + "0" * 64)


async def test_a_file_as_chunks(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"ab" * 300_000)
    assert b"".join([chunk async for chunk in chunks_of(path)]) == path.read_bytes()
