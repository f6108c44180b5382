"""mend_fields: a field is set only while it is as it was seen (60-3)."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.errors import StoreUninitialised
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder


async def mended(store: Store, *fields: tuple[str, str, str, str]) -> list[str]:
    (words,) = await store.run("mend_fields", list(fields))
    return list(words)


async def test_a_field_that_is_as_it_was_seen(store: Store, builder: JobBuilder) -> None:
    made = await builder.waiting()
    key = keys.job(made.job_id)
    lane = await store.command("HGET", key, "lane")
    await store.command("HDEL", key, "lane")
    name = key.removeprefix(keys.Q)
    assert await mended(store, (name, "lane", "", lane)) == ["SET"]
    assert await mended(store, (name, "lane", "", lane)) == ["CHANGED"]
    assert await mended(store, (name, "releases", "", "x"), (name, "releases", "x", "")) == ["SET", "SET"]
    assert not await store.command("HEXISTS", key, "releases")


async def test_what_has_changed_or_gone_is_left_alone(store: Store, builder: JobBuilder) -> None:
    made = await builder.waiting()
    before = await contents(store)
    name = f"job:{made.job_id}"
    assert (
        await mended(store, (name, "lane", "seen", "x"), ("job:nobody", "lane", "", "x")) == ["CHANGED"] * 2
    )
    assert changed(before, await contents(store)) == set()


async def test_a_store_gets_its_version_back(store: Store, builder: JobBuilder) -> None:
    """Everything else refuses such a store."""
    await builder.waiting()
    await store.command("HDEL", keys.META, "version")
    try:
        await store.ping()
    except StoreUninitialised:
        assert await mended(store, ("meta", "version", "", "1")) == ["SET"]
    await store.ping()
