"""Workers over HTTP and the narrower pauses: what claims, heartbeats and the push say (P-12)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from sluicegate.model import NarrowPause, PauseScope
from sluicegate.store import narrow_pauses
from sluicegate.store.connection import Store
from tests.services.queue_api.conftest import Api
from tests.support import given
from tests.support.wait import until


async def paused(store: Store, scope: PauseScope, value: str, mode: Any = "drain") -> NarrowPause:
    return await narrow_pauses.change(
        store, scope=scope, value=value, action="pause", mode=mode, reason="repair", actor="ann"
    )


async def lifted(store: Store, scope: PauseScope, value: str) -> None:
    await narrow_pauses.change(store, scope=scope, value=value, action="resume", actor="ann")


async def test_a_claim_of_a_paused_worker(api: Api, store: Store) -> None:
    """P-12, P-5: nothing, with the reason beside `system`, which is that of all workers."""
    job_id = await given.queued(store)
    found = await paused(store, "worker", "w-1")
    answer = await api.claim("w-1")
    assert (answer["job"], answer["jobs"], answer["system"]["workersPaused"]) == (None, [], False)
    assert answer["pause"] == msgspec.to_builtins(found)
    other = await api.claim("w-2")
    assert other["job"]["id"] == job_id
    assert "pause" not in other


async def test_a_paused_worker_that_waits_hears_nobodys_bell(api: Api, store: Store) -> None:
    """P-12: of two that wait, the other one gets the job at once; and the first, once its pause is lifted."""
    await paused(store, "worker", "w-1")
    waiting = {name: asyncio.create_task(api.claim(name, waitSeconds=15)) for name in ("w-1", "w-2")}
    await until(lambda: store.command("ZCARD", "{sg:0}:policies:used"), "the other one has claimed")
    await asyncio.sleep(0.1)  # both wait
    first = await given.queued(store)
    assert (await waiting["w-2"])["job"]["id"] == first
    assert not waiting["w-1"].done()
    second = await given.queued(store)
    await lifted(store, "worker", "w-1")
    assert (await waiting["w-1"])["job"]["id"] == second


async def test_a_claim_that_waits_goes_on_with_the_resume(api: Api, store: Store) -> None:
    """P-12: a lifted pause rings for what it gives back."""
    await paused(store, "type", "held")
    job_id = await given.queued(store, "held")
    waiting = asyncio.create_task(api.claim("w-1", waitSeconds=15))
    await until(lambda: store.command("ZCARD", "{sg:0}:parked"), "it has met the lane")
    await lifted(store, "type", "held")
    assert (await waiting)["job"]["id"] == job_id


async def test_heartbeats_carry_what_is_in_force(api: Api, store: Store) -> None:
    """P-5, P-12, 70-55: beside `system`, which keeps its fields; absent where there was never one."""
    job = await given.running(store, worker_id="w-1")
    held = {"workerId": "w-1", "leaseSeconds": 60}
    one = held | {"leaseToken": job.lease_token}
    many = held | {"jobs": [{"id": job.id, "leaseToken": job.lease_token}]}

    async def beats() -> list[dict[str, Any]]:
        answers = []
        for path, body in ((f"/jobs/{job.id}/heartbeat", one), ("/jobs/heartbeat", many)):
            answer = await api.post(path, body)
            assert answer.status == 200
            answers.append(answer.json)
        return answers

    assert all("pauses" not in answer for answer in await beats())
    found = await paused(store, "type", "held", "quiesce")
    for answer in await beats():
        assert answer["pauses"] == {"items": [msgspec.to_builtins(found)], "version": 1}
        assert set(answer["system"]) == {
            "workersPaused", "mode", "reason", "requestedByUserId", "requestedAt", "updatedAt", "until",
            "version",
        }  # fmt: skip
    await lifted(store, "type", "held")
    assert [answer["pauses"] for answer in await beats()] == [{"items": [], "version": 2}] * 2
