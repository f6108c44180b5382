"""What /metrics shows of the whole queue, and what never."""

from __future__ import annotations

import re
import time

import pytest

from sluicegate import queue_metrics
from sluicegate.store import Store, pause, workers
from sluicegate.store.workers import Presence
from tests.services.queue_api.conftest import Api

MARK = "zebra"


@pytest.fixture(autouse=True)
def _looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_metrics, "FIGURES_SECONDS", 0.0)


def presence(worker_id: str, **told: object) -> Presence:
    usual = {
        "host": f"{MARK}.example", "pid": 1, "version": "0", "transport": "redis", "capabilities": [],
        "types": ["echo"], "slots": 4, "state": "idle", "jobs": [],
    }  # fmt: skip
    return Presence(worker_id=worker_id, **{**usual, **told})  # type: ignore[arg-type]


async def shown(api: Api) -> dict[str, float]:
    """Every sample of the page by its name and labels, without the prefix."""
    page = (await api.get("//metrics")).text
    samples = re.findall(r"^sluicegate_(\S+) (\S+)$", page, re.MULTILINE)
    return {name: float(value) for name, value in samples}


async def test_work_that_nobody_can_run_shows(api: Api, store: Store) -> None:
    """Q-4, Q-19: by the workers that live now."""
    await api.enqueue()
    await api.enqueue(requiredCapabilities=["gpu"])
    found = await shown(api)
    assert (found["workers"], found["stranded_lanes"], found["stranded_jobs"]) == (0, 2, 2)
    await workers.announce(store, presence("w-1"))
    await workers.announce(store, presence("w-2", state="stopping", capabilities=["gpu"]))
    found = await shown(api)
    assert (found["workers"], found["stranded_lanes"], found["stranded_jobs"]) == (1, 1, 1)
    assert 0 < found["stranded_seconds"] < 60
    await workers.announce(store, presence("w-3", capabilities=["gpu"]))
    found = await shown(api)
    assert (found["workers"], found["stranded_jobs"], found["stranded_seconds"]) == (2, 0, 0)


async def test_a_quiesce_that_is_not_obeyed_shows(api: Api, store: Store) -> None:
    """P-11: whichever way the worker reaches the queue, and whether or not its own page is read."""
    await workers.announce(store, presence("w-1", state="busy", jobs=["a", "b"], paused_jobs=["b"]))
    assert (await shown(api))["quiesce_pending_jobs"] == 0
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    assert (await shown(api))["quiesce_pending_jobs"] == 0
    await pause.change(store, action="pause", mode="quiesce", reason="upgrade", actor="ann")
    assert (await shown(api))["quiesce_pending_jobs"] == 1
    await workers.announce(store, presence("w-1", state="paused", jobs=["a", "b"], paused_jobs=["a", "b"]))
    found = await shown(api)
    assert (found["quiesce_pending_jobs"], found["workers_paused"]) == (0, 1)


async def test_limits_stand_beside_what_they_limit(api: Api) -> None:
    """Q-17: an alert compares them, and need not know the settings."""
    found = await shown(api)
    assert (found["jobs_limit"], found["lanes_limit"]) == (1_000_000, 20_000)
    assert found["store_memory_limit_bytes"] == 0, "no maxmemory, no limit"
    assert found["store_memory_bytes"] > 0
    assert 0 < found["store_connections"] < found["store_connections_limit"]
    assert found['store_unsafe{check="eviction"}'] == 0
    assert found["store_up"] == 1


async def test_totals_are_there_before_anything_happened(api: Api) -> None:
    found = await shown(api)
    for name in (
        'jobs_finished_total{status="dead_letter"}', 'dead_letters_total{reason="lease_expired"}',
        'retries_total{reason="failure"}', 'pause_transitions_total{action="pause",mode="quiesce"}',
        "cancel_requests_total",
    ):  # fmt: skip
        assert found[name] == 0


async def test_no_label_holds_what_there_is_no_end_of(api: Api, store: Store) -> None:
    """60-5: never a job id, a repository or a worker's name, whatever is asked for."""
    job_id, held = await api.running(
        f"{MARK}-worker",
        payload={"repository": f"acme/{MARK}"},
        affinityKey=f"{MARK}-key",
        type=f"{MARK}-type",
    )
    await workers.announce(store, presence(f"{MARK}-worker", types=[f"{MARK}-type"]))
    await pause.change(store, action="pause", mode="drain", reason=MARK, actor=MARK)
    await api.get(f"/jobs/{job_id}")
    await api.get(f"//{MARK}/{job_id}")
    await api.call(MARK.upper(), f"/jobs/{job_id}")
    await api.post(
        f"/jobs/{job_id}/fail", {**held, "errorMessage": MARK, "retryable": False, "failureClass": MARK}
    )
    page = (await api.get("//metrics")).text
    assert MARK not in page.lower()
    assert job_id not in page
    assert 'route="/api/queue/jobs/{id}"' in page


async def test_a_page_is_cheap_to_ask_for_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """70-38: the store is asked once in 5 s, however many ask for the page."""
    monkeypatch.setattr(queue_metrics, "FIGURES_SECONDS", 3600.0)
    looks = []
    look = queue_metrics.look

    async def counted(store: Store) -> queue_metrics.Look:
        looks.append(time.monotonic())
        return await look(store)

    monkeypatch.setattr(queue_metrics, "look", counted)
    for _ in range(3):
        await shown(api)
    assert len(looks) == 1
