"""Files of artifacts against the index of them (60-3, Q-10)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import uuid_utils

from sluicegate import artifacts, keys
from sluicegate.artifacts import ArtifactFolder
from sluicegate.operations import doctor
from sluicegate.store import shelves
from sluicegate.store.connection import Store
from tests.support.damages import NOBODY
from tests.support.job_builder import JobBuilder, Made

DAY = 86_400
LONG_AGO_MS = int((time.time() - 3 * DAY) * 1000)


@pytest.fixture
def files(store: Store) -> ArtifactFolder:
    kept = artifacts.open_store(store.settings)
    assert isinstance(kept, ArtifactFolder)
    return kept


async def upload(files: ArtifactFolder, job_id: str, artifact_id: str | None = None) -> str:
    """Content that nobody lists; its digest."""
    async with files.upload(job_id, artifact_id or str(uuid_utils.uuid7())) as content:
        await content.write(b"words")
        return (await content.finish()).digest


async def listed(store: Store, files: ArtifactFolder) -> Made:
    """A running job with an artifact."""
    made = await JobBuilder(store).running()
    artifact_id = str(uuid_utils.uuid7())
    digest = await upload(files, made.job_id, artifact_id)
    artifact = shelves.Artifact(
        id=artifact_id, job_id=made.job_id, name="report.txt", content_type="text/plain", size_bytes=5,
        digest=digest, created_at="2026-01-31T12:00:00.000Z",
    )  # fmt: skip
    await shelves.record_artifact(store, made.worker, made.token, artifact)
    return made


def drawn_long_ago() -> str:
    """An artifact id as it was drawn days ago."""
    return f"{LONG_AGO_MS:012x}"[:8] + "-" + f"{LONG_AGO_MS:012x}"[8:] + str(uuid_utils.uuid7())[13:]


async def test_files_and_index_agree(store: Store, files: ArtifactFolder) -> None:
    made = await listed(store, files)
    await upload(files, made.job_id)  # its entry in the index may still be under way
    assert (await doctor.check(store)).findings == []


async def test_lost_content_is_for_a_person(store: Store, files: ArtifactFolder) -> None:
    """Nothing is made up, and the list goes on saying what there was."""
    made = await listed(store, files)
    await files.delete(made.job_id)
    (found,) = (await doctor.check(store)).faults
    assert (found.code, found.it, found.about, found.kind.by) == ("lost_file", made.job_id, "report.txt", "")


async def test_what_nobody_lists_goes_after_a_day(store: Store, files: ArtifactFolder) -> None:
    made = await listed(store, files)
    await upload(files, made.job_id, drawn_long_ago())
    before = await doctor.check(store)
    assert [(found.code, found.it) for found in before.faults] == [("unnamed_files", made.job_id)]
    _, after = await doctor.cure(store, before)
    assert after.findings == []
    assert len(await files.contents(made.job_id)) == 1


async def test_files_of_a_job_that_is_gone_go_after_a_day(store: Store, files: ArtifactFolder) -> None:
    await JobBuilder(store).waiting()
    await upload(files, NOBODY)
    assert (await doctor.check(store)).findings == []
    os.utime(files.root / NOBODY, (time.time() - 3 * DAY,) * 2)
    before = await doctor.check(store)
    assert [(found.code, found.it) for found in before.faults] == [("stray_files", NOBODY)]
    await doctor.cure(store, before)
    assert not Path(files.root / NOBODY).exists()


async def test_without_the_folder_it_says_so(store: Store) -> None:
    """On another machine than the one that keeps the files, they are not all lost."""
    made = await JobBuilder(store).running()
    await store.command("HSET", keys.job_shelf(made.job_id, "artifacts"), "a", "{}")
    found = await doctor.check(store)
    assert found.findings == []
    assert "The files of artifacts were not looked at" in found.unseen[0]
