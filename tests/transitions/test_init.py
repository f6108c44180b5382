"""init: a new store is laid out once; what is there is never laid out anew."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import ConfigurationError, StoreUninitialised, StoreVersionMismatch
from sluicegate.settings import Settings
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder


async def test_a_new_store_is_running_at_version_0(store: Store) -> None:
    found = await contents(store)
    created = found["meta"].pop("created_at")
    assert found == {
        "meta": {"version": "1", "partitions": "1", "pause_version": "0"},
        "pause": {"paused": "0", "version": "0", "updated_at": created},
    }


async def test_an_existing_store_stays_as_it_is(
    store: Store, builder: JobBuilder, settings: Settings
) -> None:
    for state in builder.by_state:
        await builder.made(state, type=state)
    before = await contents(store)
    again = await Store.open(settings)
    await again.close()
    assert await contents(store) == before


@pytest.mark.damages_the_store
@pytest.mark.parametrize("state", ["waiting", "delayed", "running", "succeeded", "dead_letter"])
async def test_without_its_meta_a_store_is_not_an_empty_one(
    store: Store, builder: JobBuilder, settings: Settings, state: str
) -> None:
    """Somebody must look: laying it out anew would resume a paused queue and repeat its versions."""
    await builder.made(state)
    await store.command("DEL", keys.META)
    before = await contents(store)
    with pytest.raises(StoreUninitialised):
        await Store.open(settings)
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_a_pause_record_alone_is_not_an_empty_store(store: Store, settings: Settings) -> None:
    await store.command("DEL", keys.META)
    with pytest.raises(StoreUninitialised):
        await Store.open(settings)


@pytest.mark.damages_the_store
async def test_a_store_of_another_version_is_not_opened(store: Store, settings: Settings) -> None:
    await store.command("HSET", keys.META, "version", "7")
    with pytest.raises(StoreVersionMismatch, match="version 7"):
        await Store.open(settings)


@pytest.mark.damages_the_store
async def test_a_store_of_more_partitions_is_not_opened(store: Store, settings: Settings) -> None:
    await store.command("HSET", keys.META, "partitions", "4")
    with pytest.raises(ConfigurationError, match="4 partitions"):
        await Store.open(settings)
