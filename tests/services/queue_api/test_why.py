"""GET /jobs/{id}/why: what a waiting job waits for (Q-19)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sluicegate import keys
from sluicegate.store import limits, pause, workers
from sluicegate.store.connection import Store
from sluicegate.store.workers import Presence
from tests.services.queue_api.conftest import Api
from tests.support.job_builder import now_ms
from tests.support.wait import until

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def why(api: Api, job_id: str) -> list[dict[str, Any]]:
    answer = await api.get(f"/jobs/{job_id}/why")
    assert answer.status == 200, answer.text
    assert answer.json["jobId"] == job_id
    for reason in answer.json["reasons"]:
        assert reason["code"] and reason["message"] and reason["remedy"]
    return list(answer.json["reasons"])


async def codes(api: Api, job_id: str) -> list[str]:
    return [reason["code"] for reason in await why(api, job_id)]


async def announced(store: Store, **known: Any) -> None:
    usual: dict[str, Any] = {
        "worker_id": "w", "host": "h", "pid": 1, "version": "1", "transport": "redis", "capabilities": [],
        "types": None, "slots": 1, "state": "idle", "jobs": [],
    }  # fmt: skip
    await workers.announce(store, Presence(**{**usual, **known}))


async def test_one_who_claims_over_http_is_live(api: Api, store: Store) -> None:
    """70-46: it announced nothing; what it claimed by says what it takes, and a heartbeat keeps it live."""
    job = await api.enqueue(type="build", requiredCapabilities=["gpu"])
    assert await codes(api, job["id"]) == ["no_live_worker", "no_worker_with_capability", "position"]
    await api.claim(allowedTypes=["other"])
    assert await codes(api, job["id"]) == ["no_worker_for_type", "no_worker_with_capability", "position"]
    _, held = await api.running("worker-2", type="other")
    assert await codes(api, job["id"]) == ["no_worker_with_capability", "position"]
    long_ago = await now_ms(store) - 31_000
    for name in await store.command("ZRANGE", keys.WORKERS, 0, -1):
        await store.command("ZADD", keys.WORKERS, long_ago, name)
    assert (await codes(api, job["id"]))[0] == "no_live_worker"
    # What was noted in the last ten seconds is not noted again: as if they were over.
    store.hearing._noted.clear()
    beat = {"workerId": "worker-2", "leaseSeconds": 30, "jobs": []}
    running = (await api.get("/jobs?status=running")).json["items"][0]
    beat["jobs"] = [{"id": running["id"], "leaseToken": held["leaseToken"]}]
    assert (await api.post("/jobs/heartbeat", beat)).status == 200
    assert await codes(api, job["id"]) == ["no_worker_with_capability", "position"]


async def test_a_worker_is_noted_at_most_every_ten_seconds(api: Api, store: Store) -> None:
    """70-46: whatever it calls; a write per heartbeat would double their cost."""
    job_id, held = await api.running()
    seen = await store.command("ZSCORE", keys.WORKERS, "worker-1")

    async def later() -> bool:
        return await now_ms(store) > int(float(seen)) + 5

    await until(later, "the store's clock moves")
    await api.claim()
    await api.post(f"/jobs/{job_id}/heartbeat", {**held, "leaseSeconds": 30})
    assert await store.command("ZSCORE", keys.WORKERS, "worker-1") == seen


async def test_a_worker_that_stops_takes_nothing_more(api: Api, store: Store) -> None:
    job = await api.enqueue()
    await announced(store, repositories=["acme/a"])
    assert await codes(api, job["id"]) == ["no_worker_for_repository", "position"]
    await announced(store)
    assert await codes(api, job["id"]) == ["position"]
    await announced(store, state="stopping")
    assert await codes(api, job["id"]) == ["no_live_worker", "position"]


async def test_the_pause_comes_first(api: Api, store: Store) -> None:
    """Q-19: by whom and since when."""
    job = await api.enqueue()
    state = await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    reason, *rest = await why(api, job["id"])
    assert (reason["code"], reason["by"], reason["since"]) == ("paused", "ann", state.requested_at)
    assert "upgrade" in reason["message"]
    assert [each["code"] for each in rest] == ["no_live_worker", "position"]


async def test_a_limit_names_who_holds_it(api: Api, store: Store) -> None:
    """Q-18, Q-19."""
    store.settings = msgspec.structs.replace(
        store.settings, concurrency_limits=("type=echo:1", "repo=acme/a:1")
    )
    await limits.declare(store, by="test")
    described = {"payload": {"repository": "https://github.com/Acme/a.git"}, "affinityKey": "k"}
    running, held = await api.running(**described)
    job = await api.enqueue(**described)
    found = [reason for reason in await why(api, job["id"]) if reason["code"] == "concurrency_limit"]
    assert [reason["detail"]["limit"] for reason in found] == [
        "type=echo", "key=k", "repo=github.com/acme/a",
    ]  # fmt: skip
    assert all(reason["detail"]["heldBy"] == [running] for reason in found)
    assert (await api.post(f"/jobs/{running}/complete", held)).status == 200
    assert await codes(api, job["id"]) == ["position"]


async def test_the_place_counts_those_that_go_first(api: Api, store: Store) -> None:
    """Q-12, Q-19: jobs of its lane that came back go before it."""
    released, held = await api.running()
    ids = [(await api.enqueue())["id"] for _ in range(3)]
    await api.post(f"/jobs/{released}/release", held)
    places = [(await why(api, job_id))[-1]["detail"] for job_id in (released, *ids)]
    assert [(place["position"], place["of"]) for place in places] == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_a_delayed_and_a_retried_job_say_until_when(api: Api, store: Store) -> None:
    """Q-7, Q-19."""
    later = await api.enqueue(delaySeconds=3600)
    reason = (await why(api, later["id"]))[-1]
    assert (reason["code"], reason["until"]) == ("delayed", later["nextAttemptAt"])
    store.settings = msgspec.structs.replace(
        store.settings, retry_backoff_base_seconds=600, retry_backoff_cap_seconds=600
    )
    job_id, held = await api.running()
    failed = await api.post(f"/jobs/{job_id}/fail", {**held, "errorMessage": "broken", "retryable": True})
    reason = (await why(api, job_id))[-1]
    assert (reason["code"], reason["until"]) == ("backoff", failed.json["nextAttemptAt"])


async def test_who_runs_or_has_ended_waits_for_nothing(api: Api) -> None:
    job_id, held = await api.running()
    assert await why(api, job_id) == []
    await api.post(f"/jobs/{job_id}/complete", held)
    answer = await api.get(f"/jobs/{job_id}/why")
    assert answer.json == {"jobId": job_id, "status": "succeeded", "reasons": []}


@pytest.mark.parametrize("job_id", [UNKNOWN, "nonsense"])
async def test_of_no_job_nothing_is_said(api: Api, job_id: str) -> None:
    assert (await api.get(f"/jobs/{job_id}/why")).code == "job_not_found"
