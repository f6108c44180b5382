"""Limits over HTTP: what runs at once (Q-18), and what is accepted at all (Q-17)."""

from __future__ import annotations

import asyncio

import msgspec

from sluicegate.store import Store, limits
from tests.services.queue_api.conftest import Api
from tests.support.wait import until


def settle(store: Store, **changed: object) -> None:
    store.settings = msgspec.structs.replace(store.settings, **changed)


async def test_a_waiting_claim_gets_the_slot_that_is_freed(api: Api, store: Store) -> None:
    """Q-18: by push; nobody looks again and again for it."""
    settle(store, concurrency_limits=("type=echo:1",))
    await limits.declare(store, by="test")
    running, held = await api.running()
    waiting = await api.enqueue()
    assert (await api.claim("worker-2"))["job"] is None
    polled = asyncio.create_task(api.claim("worker-2", waitSeconds=20))
    await until(lambda: _waits(store), "the claim waits for its bell")
    assert (await api.post(f"/jobs/{running}/complete", held)).status == 200
    async with asyncio.timeout(1):
        assert (await polled)["job"]["id"] == waiting["id"]


async def _waits(store: Store) -> bool:
    return "cmd=blpop" in await store.command("CLIENT", "LIST")


async def test_each_refusal_names_its_limit_and_says_when_to_come_back(api: Api, store: Store) -> None:
    """Q-17: 429 `queue_full` with Retry-After; in a batch, item by item."""
    first = await api.enqueue()
    settle(store, max_queued=1)
    refused = await api.post("/jobs", {"type": "echo"})
    assert (refused.status, refused.code) == (429, "queue_full")
    assert int(refused.headers["Retry-After"]) > 0
    assert "1 jobs wait" in refused.json["detail"] and "SLUICEGATE_MAX_QUEUED" in refused.json["detail"]
    settle(store, max_queued=100, max_lanes=1)
    body = {"jobs": [{"type": "echo"}, {"type": "other"}]}
    accepted, refused_item = (await api.post("/jobs/batch", body)).json["items"]
    assert (accepted["status"], refused_item["status"]) == (201, 429)
    assert "SLUICEGATE_MAX_LANES" in refused_item["error"]["detail"]
    assert (await api.claim())["job"]["id"] == first["id"]
