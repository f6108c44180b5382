"""How the store's server is set up and how it does, asked while it runs: a setting may change any time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from sluicegate.settings import Settings
from sluicegate.store import server_health
from sluicegate.store.connection import Store


@pytest.fixture
async def changed(store: Store) -> AsyncIterator[Store]:
    """A store whose server is set back to what it was."""
    names = ("maxmemory", "maxmemory-policy", "appendfsync")
    before = [await store.command("CONFIG", "GET", name) for name in names]
    yield store
    for name, value in before:
        await store.command("CONFIG", "SET", name, value)


async def test_what_endangers_jobs_is_told_apart(changed: Store) -> None:
    """DESIGN 8: nothing is deleted for want of memory; the append-only file is what a restart reads."""
    found = await server_health.read(changed)
    assert found is not None
    assert found.unsafe == {
        "eviction": False, "append_only": True, "fsync": False,
        "append_write": False, "snapshot_write": False,
    }  # fmt: skip
    await changed.command("CONFIG", "SET", "maxmemory", 64_000_000)
    await changed.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    found = await server_health.read(changed)
    assert found is not None
    assert found.unsafe["eviction"] is True
    assert (found.max_memory_bytes, found.connections > 0) == (64_000_000, True)
    assert 0 < found.used_memory_bytes < 64_000_000 < found.max_connections * 1e6


async def test_the_promised_durability_is_what_the_server_is_held_to(
    changed: Store, settings: Settings
) -> None:
    """`local` promises what is acknowledged to be on disk; this server has no append-only file at all."""
    strict = Store(
        msgspec.structs.replace(settings, durability="local"), changed._connect, plain_scripts=False
    )
    try:
        found = await server_health.read(strict)
    finally:
        await strict.close()
    assert found is not None
    assert found.unsafe["fsync"] is True


@pytest.mark.parametrize("store_kind", ["fakeredis"])
async def test_a_server_that_says_nothing_is_no_error(store: Store) -> None:
    assert await server_health.read(store) is None
