"""Artifacts through the client: the same over HTTP and over the store (70-58, Q-10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluicegate.artifacts import keep, open_store
from sluicegate.client import Client
from sluicegate.errors import NotFound
from sluicegate.store import Store
from sluicegate.store.shelves import Artifact
from tests.support.job_builder import JobBuilder, Made

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def put(store: Store, made: Made, name: str, content: bytes) -> Artifact:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return await keep(
        store, open_store(store.settings), name, chunks(), job_id=made.job_id, worker_id=made.worker,
        lease_token=made.token, limit=10_000_000,
    )  # fmt: skip


async def test_all_artifacts_of_a_job(client: Client, store: Store) -> None:
    """More than one page of them too."""
    made = await JobBuilder(store).running()
    assert await client.artifacts(made.job_id) == []
    kept = [await put(store, made, f"logs/{number:03}", b"x") for number in range(205)]
    assert await client.artifacts(made.job_id) == kept
    for unknown in (UNKNOWN, "../x"):
        with pytest.raises(NotFound) as refused:
            await client.artifacts(unknown)
        assert refused.value.code == "job_not_found"


async def test_a_download_is_whole_or_not_there(client: Client, store: Store, tmp_path: Path) -> None:
    made = await JobBuilder(store).running()
    content = bytes(range(256)) * 5000
    first = await put(store, made, "a", content)
    target = tmp_path / "copy"
    target.write_bytes(b"old")
    await client.download(first, target)
    assert target.read_bytes() == content
    second = await put(store, made, "a", b"second")
    with pytest.raises(NotFound) as refused:
        await client.download(first, target)
    assert refused.value.code == "artifact_not_found"
    assert target.read_bytes() == content
    await client.download(second, target)
    assert target.read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == ["copy"]
