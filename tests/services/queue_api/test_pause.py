"""What workers over HTTP are told of the pause, and what becomes of claims without its record."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
import pytest

from sluicegate import keys
from sluicegate.http import LONG_REQUESTS, METRICS
from sluicegate.store import Store, pause
from tests.services.queue_api.conftest import WORKER, Api
from tests.support.contents import contents
from tests.support.wait import until


async def paused(store: Store, mode: Any = "drain") -> None:
    await pause.change(store, action="pause", mode=mode, reason=f"to {mode}", actor="ann")


async def resumed(store: Store) -> None:
    await pause.change(store, action="resume", actor="ann", force=True)


async def tool(api: Api, name: str, **arguments: Any) -> dict[str, Any]:
    answer = await api.post("//mcp/tools/call", {"tool": name, "arguments": arguments})
    assert answer.status == 200, answer.text
    return dict(answer.json["result"])


async def test_every_reply_to_a_worker_carries_the_pause(api: Api, store: Store) -> None:
    """P-5, 70-55: claims with and without jobs, repeated and waiting ones, each kind of heartbeat, and tools;
    while running, draining, quiesced and running again."""
    job_id, held = await api.running()
    tokens = {"id": job_id, "leaseToken": held["leaseToken"]}
    beat = {**held, "leaseSeconds": 30}

    async def told() -> list[dict[str, Any]]:
        claim = {"workerId": "other", "leaseSeconds": 30}
        answers = [
            await api.claim("other", requestId="first"),
            await api.claim("other", waitSeconds=0.05, allowedTypes=["none"]),
            await tool(api, "queue.claim", **claim, allowedTypes=["none"]),
            (await api.post(f"/jobs/{job_id}/heartbeat", beat)).json,
            (
                await api.post("/jobs/heartbeat", {"workerId": WORKER, "leaseSeconds": 30, "jobs": [tokens]})
            ).json,
            await tool(api, "queue.heartbeat", jobId=job_id, **beat),
        ]
        return [answer["system"] for answer in answers]

    await api.enqueue()
    assert await told() == [msgspec.to_builtins(await pause.read(store))] * 6
    for change in (paused, partial(paused, mode="quiesce"), resumed):
        await change(store)
        state = msgspec.to_builtins(await pause.read(store))
        assert await told() == [state] * 6
    assert (await api.claim("other", requestId="first"))["job"] is not None


async def test_guard_hits_are_told_once_per_pause_and_worker(
    api: Api, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """P-3: over REST and as a tool; each is counted."""
    with caplog.at_level("INFO", "sluicegate"):
        await paused(store)
        for _ in range(3):
            await api.claim("one")
        await tool(api, "queue.claim", workerId="two", leaseSeconds=30)
        await paused(store, "quiesce")
        await api.claim("one")
        await resumed(store)
        await api.claim("one")
    lines = [
        record.__dict__["fields"] for record in caplog.records if record.getMessage() == "claim_guard_hit"
    ]
    assert [(line["worker"], line["mode"], line["reason"]) for line in lines] == [
        ("one", "drain", "to drain"), ("two", "drain", "to drain"), ("one", "quiesce", "to quiesce"),
    ]  # fmt: skip
    assert lines[0]["version"] == lines[1]["version"] < lines[2]["version"]
    assert api.app[METRICS].registry.get_sample_value("sluicegate_claim_guard_hits_total") == 5


async def test_an_earlier_answer_is_no_guard_hit(api: Api, store: Store) -> None:
    """P-4, Q-16: a repeated request gets its jobs also while paused."""
    await api.enqueue()
    first = await api.claim(requestId="r")
    await paused(store)
    again = await api.claim(requestId="r")
    assert [job["leaseToken"] for job in again["jobs"]] == [job["leaseToken"] for job in first["jobs"]]
    assert api.app[METRICS].registry.get_sample_value("sluicegate_claim_guard_hits_total") == 0


async def test_without_the_pause_record_no_claim_is_answered_with_jobs(api: Api, store: Store) -> None:
    """P-11: new claims, one that waits, and a tool get 503 and write nothing, until the record is there."""
    job_id, held = await api.running()
    waiting = asyncio.create_task(
        api.post("/jobs/claim", {"workerId": "waits", "leaseSeconds": 30, "waitSeconds": 20})
    )
    await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == 1, "it waits")
    await store.command("DEL", keys.PAUSE)
    await api.enqueue()
    answer = await waiting
    assert (answer.status, answer.code) == (503, "store_uninitialised")
    before = await contents(store)
    claim = {"workerId": "w", "leaseSeconds": 30}
    for answer in (
        await api.post("/jobs/claim", claim),
        await api.post("//mcp/tools/call", {"tool": "queue.claim", "arguments": claim}),
        await api.post("//mcp/tools/call", {"tool": "queue.pause_status", "arguments": {}}),
    ):
        assert (answer.status, answer.code) == (503, "store_uninitialised")
        assert int(answer.headers["Retry-After"]) > 0
    shown = await api.get("//metrics")
    assert (shown.status, "sluicegate_workers_paused 0.0" in shown.text) == (200, False)
    after = await contents(store)
    assert _without_presence(after) == _without_presence(before)
    await resumed(store)
    assert (await api.claim("w"))["job"]["status"] == "running"
    assert (await api.post(f"/jobs/{job_id}/complete", held)).status == 200


def _without_presence(found: dict[str, Any]) -> dict[str, Any]:
    """Who was heard of is written whatever is paused (P-4)."""
    return {name: value for name, value in found.items() if name != "workers" and "heard" not in name}
