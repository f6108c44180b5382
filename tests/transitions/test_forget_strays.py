"""forget_strays: what was kept with a job that is gone goes; a job's own stays (60-3)."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder


async def test_a_job_with_a_record_keeps_everything(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    before = await contents(store)
    assert await store.run("forget_strays", [(made.job_id,)]) == [["KEPT"]]
    assert await contents(store) == before


async def test_what_has_no_record_goes(store: Store, builder: JobBuilder) -> None:
    before = await contents(store)
    await store.command("XADD", keys.job_events("nobody"), "*", "kind", "custom")
    for shelf in ("steps", "artifacts", "facts"):
        await store.command("HSET", keys.job_shelf("nobody", shelf), "a", "b")
    await store.command("XADD", keys.job_controls("nobody"), "*", "action", "pause")
    assert await store.run("forget_strays", [("nobody",)]) == [["REMOVED"]]
    assert await contents(store) == before
    assert await store.run("forget_strays", [("nobody",)]) == [["REMOVED"]]
