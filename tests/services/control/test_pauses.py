"""`/api/system/pauses`: one type, repository, capability or worker (P-12, 70-22)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import ClientSession

from sluicegate.model import Policy
from sluicegate.store import claims
from sluicegate.store.connection import Store
from sluicegate.times import from_rfc3339, to_rfc3339
from tests.support import given
from tests.support.dump import dump
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms

URL = "/api/system/pauses"
PAUSE = {"action": "pause", "scope": "type", "value": "held", "mode": "drain", "reason": "Bad release"}
RESUME = {"action": "resume", "scope": "type", "value": "held"}


async def post(control: ClientSession, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    async with control.post(URL, json=body, headers=headers) as response:
        return response.status, await response.json()


async def listing(control: ClientSession) -> list[dict[str, Any]]:
    async with control.get(URL) as response:
        assert response.status == 200
        items: list[dict[str, Any]] = (await response.json())["items"]
        return items


async def audit(control: ClientSession) -> list[dict[str, Any]]:
    async with control.get("/api/system/audit") as response:
        entries: list[dict[str, Any]] = (await response.json())["items"]
        return entries


async def test_a_type_is_paused_and_lifted(control: ClientSession, store: Store) -> None:
    """P-12, 70-49: 200, exact from the answer on; other types go on."""
    assert await listing(control) == []
    held = await given.queued(store, "held")
    code, shown = await post(control, PAUSE)
    assert code == 200
    free = await given.queued(store, "free")
    job = await given.claimed(store)
    assert job is not None and job.id == free
    assert await given.claimed(store) is None
    (item,) = shown["items"]
    assert item.pop("requestedAt") == item.pop("updatedAt")
    assert item == {
        "scope": "type", "value": "held", "mode": "drain", "reason": "Bad release",
        "requestedByUserId": "local-operator", "until": None, "version": 1,
    }  # fmt: skip
    code, shown = await post(control, RESUME | {"reason": "fixed"})
    assert (code, shown["items"]) == (200, [])
    job = await given.claimed(store)
    assert job is not None and job.id == held


async def test_several_are_in_force_at_once(control: ClientSession, store: Store) -> None:
    """P-12: each with its own state; nothing of it is in that of all workers."""
    for scope, value in (
        ("worker", "w 1"),
        ("type", "held"),
        ("capability", "gpu"),
        ("repository", "acme/a"),
    ):
        code, _ = await post(control, PAUSE | {"scope": scope, "value": value, "reason": scope})
        assert code == 200
    assert [(item["scope"], item["value"], item["reason"]) for item in await listing(control)] == [
        ("capability", "gpu", "capability"),
        ("repository", "github.com/acme/a", "repository"),
        ("type", "held", "type"),
        ("worker", "w 1", "worker"),
    ]
    async with control.get("/api/system/worker-pause") as response:
        system = (await response.json())["system"]
    assert (system["workersPaused"], system["version"]) == (False, 0)


@pytest.mark.parametrize(
    "written", ["acme/a", "https://github.com/Acme/a.git", "git@github.com:acme/a", "github.com/acme/a"]
)
async def test_a_repository_is_one_however_it_is_written(
    control: ClientSession, store: Store, written: str
) -> None:
    """70-17."""
    await given.queued(store, repository="github.com/acme/a")
    await post(control, PAUSE | {"scope": "repository", "value": written})
    assert await given.claimed(store) is None
    code, problem = await post(control, PAUSE | {"scope": "repository", "value": "acme/a"})
    assert (code, problem["code"]) == (409, "pause_unchanged")
    code, _ = await post(control, RESUME | {"scope": "repository", "value": "ssh://git@github.com/acme/a"})
    assert code == 200
    assert await given.claimed(store) is not None


async def test_a_capability_holds_back_who_needs_it(control: ClientSession, store: Store) -> None:
    """70-22."""
    make = JobBuilder(store)
    needy = await make.waiting(capabilities=("gpu", "git"))
    free = await make.waiting(capabilities=("git",))
    await post(control, PAUSE | {"scope": "capability", "value": "gpu"})
    able = Policy(capabilities=("git", "gpu"))
    assert [job.id for job in await make.claim(able, limit=5)] == [free.job_id]
    await post(control, RESUME | {"scope": "capability", "value": "gpu"})
    assert [job.id for job in await make.claim(able, limit=5)] == [needy.job_id]


async def test_a_resume_waits_for_no_drain(control: ClientSession, store: Store) -> None:
    """P-12: the jobs that run are the part's own business."""
    await given.running(store, "held")
    await post(control, PAUSE)
    code, _ = await post(control, RESUME)
    assert code == 200
    assert not (await audit(control))[0]["forced"]


async def test_refusals_change_nothing(control: ClientSession, store_url: str) -> None:
    """P-6, 70-22: unchanged, and decided on an old picture."""
    _, shown = await post(control, PAUSE)
    version = shown["items"][0]["version"]
    before = dump(store_url)
    for body, code in (
        (PAUSE, "pause_unchanged"),
        (RESUME | {"value": "other"}, "pause_unchanged"),
        (RESUME | {"expectedVersion": version + 1}, "version_conflict"),
        (PAUSE | {"reason": "x", "expectedVersion": 0}, "version_conflict"),
    ):
        status, problem = await post(control, body)
        assert (status, problem["code"]) == (409, code)
    assert dump(store_url) == before
    assert (await post(control, RESUME | {"expectedVersion": version}))[0] == 200


async def test_of_concurrent_calls_one_wins(control: ClientSession) -> None:
    answers = await asyncio.gather(
        *(post(control, PAUSE | {"reason": f"Call {n}", "expectedVersion": 0}) for n in range(8))
    )
    assert sorted(code for code, _ in answers) == [200] + [409] * 7
    assert {body["code"] for code, body in answers if code == 409} == {"version_conflict"}


async def test_the_hundred_and_first_is_refused(control: ClientSession, store_url: str) -> None:
    """P-12: bounded; the refusal says what to do."""
    for n in range(100):
        assert (await post(control, PAUSE | {"value": f"t{n}"}))[0] == 200
    before = dump(store_url)
    code, problem = await post(control, PAUSE)
    assert (code, problem["code"]) == (409, "too_many_pauses")
    assert "lift one" in problem["detail"]
    assert dump(store_url) == before


async def test_until_is_shown_and_moved(control: ClientSession, store: Store) -> None:
    """P-13, 70-47."""
    ends = to_rfc3339(await now_ms(store) + HOUR_MS)
    _, shown = await post(control, PAUSE | {"until": ends})
    assert shown["items"][0]["until"] == ends
    assert (await post(control, PAUSE | {"until": ends}))[1]["code"] == "pause_unchanged"
    moved = to_rfc3339(from_rfc3339(ends) + 1)
    _, shown = await post(control, PAUSE | {"until": moved})
    assert (shown["items"][0]["until"], shown["items"][0]["version"]) == (moved, 2)


async def test_each_change_is_audited_and_logged(
    control: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """P-3: as those of all workers, with what it is of as the target."""
    with caplog.at_level(logging.INFO, "sluicegate"):
        await post(control, PAUSE | {"scope": "repository", "value": "acme/a"})
        await post(control, PAUSE | {"scope": "repository", "value": "acme/a"})
        await post(control, RESUME | {"scope": "repository", "value": "acme/a", "reason": "fixed"})
    resumed, paused = await audit(control)
    assert paused.pop("id") and paused.pop("createdAt")
    assert paused == {
        "control": "worker_pause", "action": "pause", "mode": "drain", "reason": "Bad release",
        "actorUserId": "local-operator", "target": "repository:github.com/acme/a", "forced": False,
    }  # fmt: skip
    assert (resumed["action"], resumed["reason"], resumed["target"]) == (
        "resume", "fixed", "repository:github.com/acme/a",
    )  # fmt: skip
    lines = [
        (record.getMessage(), record.__dict__["fields"])
        for record in caplog.records
        if record.__dict__.get("fields", {}).get("control") == "worker_pause"
    ]
    assert [event for event, _ in lines] == ["narrow_paused", "narrow_resumed"]
    assert (lines[0][1]["scope"], lines[0][1]["value"]) == ("repository", "github.com/acme/a")


MALFORMED: dict[str, tuple[Any, int]] = {
    "no action": ({**PAUSE, "action": None}, 400),
    "unknown action": (PAUSE | {"action": "stop"}, 400),
    "no scope": ({**PAUSE, "scope": None}, 400),
    "unknown scope": (PAUSE | {"scope": "lane"}, 400),
    "no value": ({**PAUSE, "value": None}, 400),
    "empty value": (PAUSE | {"value": ""}, 400),
    "value of another type": (PAUSE | {"value": 7}, 400),
    "no type": (PAUSE | {"value": "No Type"}, 400),
    "no type because of its end": (PAUSE | {"value": "held\n"}, 400),
    "no repository": (PAUSE | {"scope": "repository", "value": "acme"}, 400),
    "a local repository": (PAUSE | {"scope": "repository", "value": "/srv/a"}, 400),
    "no worker": (PAUSE | {"scope": "worker", "value": "x" * 129}, 400),
    "no capability": (PAUSE | {"scope": "capability", "value": "a\tb"}, 400),
    "no mode": ({**PAUSE, "mode": None}, 400),
    "unknown mode": (PAUSE | {"mode": "stop"}, 400),
    "blank reason": (PAUSE | {"reason": " \n"}, 400),
    "endless reason": (PAUSE | {"reason": "x" * 2001}, 400),
    "until the past": (PAUSE | {"until": "2026-01-31T12:00:00Z"}, 400),
    "until with a resume": (RESUME | {"until": "2126-01-31T12:00:00Z"}, 400),
    "unknown field": (PAUSE | {"forceResume": True}, 422),
    "negative version": (PAUSE | {"expectedVersion": -1}, 422),
    "a list": ([PAUSE], 422),
}


@pytest.mark.parametrize(("body", "expected"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_call_changes_nothing(
    control: ClientSession, store_url: str, body: Any, expected: int
) -> None:
    """70-3, 70-22: 400 for what says what, how and why; each error names the field."""
    before = dump(store_url)
    code, problem = await post(control, body)
    assert code == expected
    assert problem["code"] == {400: "bad_request", 422: "validation_failed"}[expected]
    assert problem["errors"]
    assert dump(store_url) == before


async def test_a_page_of_another_site_cannot_pause(control: ClientSession, store_url: str) -> None:
    """70-18."""
    before = dump(store_url)
    code, problem = await post(control, PAUSE, Origin="https://example.org")
    assert (code, problem["code"]) == (403, "csrf_failed")
    assert dump(store_url) == before


async def test_a_paused_worker_hears_why(control: ClientSession, store: Store) -> None:
    """P-12: its claim says so, and is no error."""
    await given.queued(store)
    _, shown = await post(control, PAUSE | {"scope": "worker", "value": "w-1", "mode": "quiesce"})
    claimed = await claims.claim(store, given.ANY, worker_id="w-1", lease_ms=60_000, limit=1, request_id="r")
    assert claimed.jobs == [] and not claimed.system.workers_paused
    assert claimed.pause is not None
    assert (claimed.pause.mode, claimed.pause.version) == ("quiesce", shown["items"][0]["version"])
    assert await given.claimed(store, worker_id="w-2") is not None
