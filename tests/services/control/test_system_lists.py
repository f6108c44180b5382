"""`/api/system/workers`."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession

from sluicegate.store import workers
from sluicegate.store.connection import Store
from sluicegate.store.workers import Presence
from sluicegate.times import from_rfc3339


async def get(control: ClientSession, url: str, **params: Any) -> tuple[int, dict[str, Any]]:
    async with control.get(url, params=params) as response:
        return response.status, await response.json()


def presence(worker_id: str) -> Presence:
    return Presence(
        worker_id=worker_id,
        host="build-1",
        pid=4711,
        version="0.1.0",
        transport="redis",
        capabilities=["git"],
        types=["task"],
        slots=4,
        state="busy",
        jobs=["018f0000-0000-7000-8000-000000000000"],
    )


async def test_the_workers_that_are_there_are_listed(control: ClientSession, store: Store) -> None:
    """Spec 60: who is there, version, host, capabilities, current jobs, last seen."""
    await workers.announce(store, presence("worker-1"))
    code, shown = await get(control, "/api/system/workers")
    assert (code, shown["nextCursor"]) == (200, None)
    (worker,) = shown["items"]
    assert from_rfc3339(worker.pop("lastSeen")) > 0
    assert worker == {
        "workerId": "worker-1",
        "host": "build-1",
        "pid": 4711,
        "version": "0.1.0",
        "transport": "redis",
        "capabilities": ["git"],
        "types": ["task"],
        "repositories": None,
        "slots": 4,
        "state": "busy",
        "jobs": ["018f0000-0000-7000-8000-000000000000"],
        "pausedJobs": [],
        "clocks": [],
    }
    await workers.depart(store, "worker-1")
    assert (await get(control, "/api/system/workers"))[1] == {"items": [], "nextCursor": None}


async def test_the_workers_are_read_in_pages(control: ClientSession, store: Store) -> None:
    """70-2: a worker that leaves between two pages hides none of the others."""
    for n in range(5):
        await workers.announce(store, presence(f"worker-{n}"))
    _, first = await get(control, "/api/system/workers", limit=2)
    await workers.depart(store, "worker-1")
    _, second = await get(control, "/api/system/workers", limit=2, cursor=first["nextCursor"])
    _, third = await get(control, "/api/system/workers", limit=2, cursor=second["nextCursor"])
    shown = [[worker["workerId"] for worker in page["items"]] for page in (first, second, third)]
    assert shown == [["worker-0", "worker-1"], ["worker-2", "worker-3"], ["worker-4"]]
    assert third["nextCursor"] is None
