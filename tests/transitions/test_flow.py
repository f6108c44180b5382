"""flow: what transitions count for the charts, in buckets that expire; read in one call."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store import cancellation, endings, flow, sweeping
from sluicegate.store.connection import Store
from sluicegate.store.flow import Flow
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder


def counted(found: Flow, kind: str) -> dict[str, int]:
    """What is counted of a type; the same by minute and by quarter hour."""
    by_ring = [
        {what: ring.total(what, kind) for what in ("came", "left", "succeeded", "failed", "dead")}
        for ring in (found.hour, found.day)
    ]
    assert by_ring[0] == by_ring[1]
    return {what: number for what, number in by_ring[0].items() if number}


async def test_each_transition_is_counted_with_its_type(store: Store, builder: JobBuilder) -> None:
    for state in ("waiting", "delayed", "running", "succeeded", "failed", "dead_letter", "returned"):
        await builder.made(state, type=state)
    done = await builder.succeeded(type="twice")
    assert done
    await builder.succeeded(type="twice")
    retried = await builder.running(type="retried", max_attempts=2)
    await builder.ended(retried, endings.Fail(retried.job_id, retried.token, "no", retryable=True))
    await builder.stale(type="expired", max_attempts=1)
    await sweeping.expire_leases(store)
    gone = await builder.waiting(type="gone")
    await cancellation.cancel(store, gone.job_id, actor="ann", reason="enough")
    found = await flow.read(store)
    through = {"came": 1, "left": 1}
    assert counted(found, "waiting") == {"came": 1}
    assert counted(found, "delayed") == {}
    assert counted(found, "running") == counted(found, "gone") == through
    assert counted(found, "succeeded") == through | {"succeeded": 1}
    assert counted(found, "twice") == {"came": 2, "left": 2, "succeeded": 2}
    assert counted(found, "failed") == through | {"failed": 1}
    assert counted(found, "dead_letter") == through | {"failed": 1, "dead": 1}
    assert counted(found, "returned") == {"came": 2, "left": 1}
    assert counted(found, "retried")["failed"] == 1
    assert counted(found, "expired") == through | {"failed": 1, "dead": 1}
    assert found.waiting == {"waiting": 1, "returned": 1}


async def test_what_waited_is_reckoned_back(store: Store, builder: JobBuilder) -> None:
    """From the jobs that wait now, through what came and left since."""
    for _ in range(3):
        await builder.waiting(type="a")
    await builder.claim(limit=1)
    found = await flow.read(store)
    for ring in (found.hour, found.day):
        assert ring.waiting(found.waiting["a"], "a")[-1] == 2
        assert ring.waiting(2)[0] == 0


async def test_buckets_expire_and_hold_so_many_types(store: Store, builder: JobBuilder) -> None:
    for number in range(70):
        await builder.waiting(type=f"t{number}")
    found = await flow.read(store)
    assert found.hour.total("came") == found.day.total("came") == 70
    assert found.day.total("came", flow.EVERY_TYPE) == 10
    buckets = [name for name in await contents(store) if name.startswith("flow:")]
    for name in buckets:
        seconds = int(name.split(":")[1])
        assert 60 * seconds < await store.command("TTL", keys.Q + name) <= 98 * seconds
    assert {name.split(":")[1] for name in buckets} == {"60", "900"}


async def test_what_is_older_is_left_out(store: Store, builder: JobBuilder) -> None:
    """A bucket is kept a little longer than it is shown."""
    await builder.waiting(type="a")
    minute = (await flow.read(store)).hour.first - 1
    await store.command("HSET", keys.flow(60, minute), "came:a", 5)
    await store.command("EXPIRE", keys.flow(60, minute), 60)
    found = await flow.read(store)
    assert found.hour.total("came", "a") == found.day.total("came", "a") == 1


async def test_with_too_many_lanes_only_the_sum_is_told(store: Store, builder: JobBuilder) -> None:
    for kind in ("a", "b"):
        await builder.waiting(type=kind)
    await builder.delayed(type="c")
    before = await contents(store)
    _, _, waiting = await store.run("flow", most_lanes=1)
    assert [str(each) for each in waiting] == ["*", "2"]
    assert await contents(store) == before
