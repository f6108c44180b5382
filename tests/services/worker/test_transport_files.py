"""Files of a job on both ways to the queue."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sluicegate.errors import Invalid, LeaseLost, NotFound, TooLarge
from sluicegate.settings import Settings
from sluicegate.worker.transports import Transport
from tests.services.worker.conftest import held
from tests.support.job_builder import JobBuilder


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, max_artifact_bytes=1000, max_patch_bytes=3000)


async def test_files_go_there_and_come_back(transport: Transport, make: JobBuilder, tmp_path: Path) -> None:
    """Q-10, 70-15: bytes or a file, replaced by name, under the lease, within the limits."""
    attempt = await held(transport, make)
    job_id, token = attempt.job_id, attempt.token
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 3)
    first = await transport.put_artifact(job_id, token, "logs/a.log", b"first", "text/plain")
    second = await transport.put_artifact(job_id, token, "logs/a.log", b"second", "text/plain")
    third = await transport.put_artifact(job_id, token, "b.bin", source, "application/octet-stream")
    assert first.digest != second.digest
    assert await transport.artifacts(job_id) == [third, second]
    assert (second.content_type, second.size_bytes, second.job_id) == ("text/plain", 6, job_id)
    target = tmp_path / "target"
    await transport.get_artifact(third, target)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(LeaseLost):
        await transport.put_artifact(job_id, token + 1, "c", b"", "text/plain")
    with pytest.raises(Invalid):
        await transport.put_artifact(job_id, token, "../c", b"", "text/plain")
    with pytest.raises(TooLarge):
        await transport.put_artifact(job_id, token, "c", b"x" * 2000, "text/plain")
    await transport.put_artifact(job_id, token, "patches/c", b"x" * 2000, "text/plain")
    with pytest.raises(NotFound):
        await transport.get_artifact(first, target)
