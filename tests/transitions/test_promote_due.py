"""promote_due: what is due waits in its lane; what is not stays."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.model import Policy
from sluicegate.store import endings, pause, sweeping
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents, fields
from tests.support.job_builder import JobBuilder


async def test_a_due_job_waits_in_its_lane(store: Store, builder: JobBuilder) -> None:
    """First-time delayed jobs wait in +s, since the moment when they became due (Q-12)."""
    await builder.claim()
    made = await builder.delayed(delay_ms=2)
    later = await builder.delayed()
    await builder.until_due(made)
    due = await store.command("ZSCORE", keys.DELAYED, made.job_id)
    before = await contents(store)
    assert await sweeping.promote_due(store) == 1
    after = await contents(store)
    assert changed(before, after) == {
        f"job:{made.job_id}", "delayed", "lane:0|work|||+s", "lanes", "ready",
        f"ready:{builder.everything.id}", "events",
    }  # fmt: skip
    assert after["delayed"].keys() == {later.job_id}
    stored = await fields(store, made.job_id)
    assert stored.pop("entry").startswith("+s")
    assert stored == {"status": "queued", "waiting_since": due}
    assert int(after["ready"]["0|work|||+s"]) % 2**42 == int(due)


async def test_a_retry_waits_among_those_who_came_back(store: Store, builder: JobBuilder) -> None:
    """Q-12: in +r, as old as the job itself."""
    made = await builder.running()
    await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    await builder.until_due(made)
    assert await sweeping.promote_due(store) == 1
    created = int(await store.command("HGET", keys.job(made.job_id), "created_at"))
    assert await store.command("ZSCORE", keys.READY, "0|work|||+r") == str(1000 * 2**42 + created)
    assert "waiting_since" not in await fields(store, made.job_id)


async def test_it_wakes_a_worker(store: Store, builder: JobBuilder) -> None:
    other = Policy(types=("other",))
    await builder.claim()
    await builder.claim(other)
    made = await builder.delayed(delay_ms=2)
    await store.command("DEL", keys.bell(builder.everything.id))
    await builder.until_due(made)
    await sweeping.promote_due(store)
    assert await store.command("LLEN", keys.bell(builder.everything.id)) == 1
    assert await store.command("LLEN", keys.bell(other.id)) == 0


async def test_nothing_due_nothing_written(store: Store, builder: JobBuilder) -> None:
    await builder.delayed()
    await builder.waiting()
    before = await contents(store)
    assert await sweeping.promote_due(store) == 0
    assert await contents(store) == before


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    made = await builder.delayed(delay_ms=1)
    await builder.until_due(made)
    assert await sweeping.promote_due(store) == 1
    before = await contents(store)
    assert await sweeping.promote_due(store) == 0
    assert await contents(store) == before


async def test_a_limit_is_kept(store: Store, builder: JobBuilder) -> None:
    for _ in range(5):
        made = await builder.delayed(delay_ms=1)
    await builder.until_due(made)
    assert [await sweeping.promote_due(store, limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_while_paused_nothing_is_promoted(store: Store, builder: JobBuilder) -> None:
    """P-4: the sweeper too leaves retries and lanes alone."""
    made = await builder.delayed(delay_ms=1)
    await builder.until_due(made)
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    before = await contents(store)
    assert await sweeping.promote_due(store) is None
    assert await contents(store) == before
    await pause.change(store, action="resume", actor="ann")
    assert await sweeping.promote_due(store) == 1
