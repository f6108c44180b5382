"""`/api/system/worker-pause`: the switch, its refusals, its audit, its counts."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from sluicegate import keys
from sluicegate.store import audit, cancellation, claims, controls, jobs, narrow_pauses, sweeping
from sluicegate.store import pause as pause_record
from sluicegate.store.connection import Store
from sluicegate.times import from_rfc3339, to_rfc3339
from tests.support import given
from tests.support.dump import dump
from tests.support.job_builder import HOUR_MS, now_ms, past

URL = "/api/system/worker-pause"
PAUSE = {"action": "pause", "mode": "drain", "reason": "Upgrade to 2.0"}
RESUME = {"action": "resume"}


async def post(control: ClientSession, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    async with control.post(URL, json=body, headers=headers) as response:
        return response.status, await response.json()


async def status(control: ClientSession) -> dict[str, Any]:
    async with control.get(URL) as response:
        assert response.status == 200
        return await response.json()  # type: ignore[no-any-return]


async def test_a_fresh_system_runs(control: ClientSession) -> None:
    """P-2, 70-55: every field is there; what says nothing while running is null."""
    shown = await status(control)
    updated = shown["system"].pop("updatedAt")
    assert from_rfc3339(updated) > 0
    assert shown == {
        "system": {
            "workersPaused": False,
            "mode": None,
            "reason": None,
            "requestedByUserId": None,
            "requestedAt": None,
            "until": None,
            "version": 0,
        },
        "metrics": {"queued": 0, "delayed": 0, "running": 0, "staleRunning": 0, "isDrained": True},
        "drain": {"blockers": [], "estimate": None},
        "audit": {"latest": []},
    }


async def test_a_pause_stops_claims_until_the_resume(control: ClientSession, store: Store) -> None:
    """P-1, P-6: no claim after the 200 opens an attempt; the queue stays as it is."""
    job_id = await given.queued(store)
    code, shown = await post(control, PAUSE)
    assert code == 200
    assert await given.claimed(store) is None
    assert shown == await status(control)
    assert shown["metrics"]["queued"] == 1
    code, shown = await post(control, RESUME)
    assert code == 200
    job = await given.claimed(store)
    assert job is not None and job.id == job_id


async def test_workers_hear_what_operators_read(control: ClientSession, store: Store) -> None:
    """P-5: a claim with and without a job, and a heartbeat, carry the very state that the endpoint shows."""
    job = await given.running(store)
    lease = claims.Lease(job.id, given.token(job), 60_000)
    for body in (PAUSE, PAUSE | {"mode": "quiesce"}, RESUME | {"forceResume": True}):
        _, shown = await post(control, body)
        claimed = await claims.claim(
            store, given.ANY, worker_id="worker-2", lease_ms=60_000, limit=1, request_id=repr(body)
        )
        renewed = await claims.heartbeat(store, "worker-1", [lease])
        for system in (claimed.system, renewed.system):
            assert msgspec.to_builtins(system) == shown["system"]


async def test_the_record_tells_who_why_and_since_when(control: ClientSession) -> None:
    """P-2: mode, reason, actor and times; the version grows with each change; a resume clears the rest."""
    _, paused = await post(control, PAUSE | {"reason": "  Upgrade to 2.0  "})
    system = paused["system"]
    assert system["workersPaused"] is True
    assert (system["mode"], system["reason"]) == ("drain", "Upgrade to 2.0")
    assert system["requestedByUserId"] == "local-operator"
    assert system["requestedAt"] == system["updatedAt"]
    _, resumed = await post(control, RESUME)
    assert resumed["system"]["version"] > system["version"]
    assert {
        name: resumed["system"][name] for name in ("mode", "reason", "requestedByUserId", "requestedAt")
    } == {
        "mode": None,
        "reason": None,
        "requestedByUserId": None,
        "requestedAt": None,
    }


async def test_another_mode_or_reason_updates_a_pause(control: ClientSession, store: Store) -> None:
    """P-2, P-6: requestedAt stays that of the pause; updatedAt and version move."""
    _, first = await post(control, PAUSE)
    await past(store, from_rfc3339(first["system"]["updatedAt"]))
    code, second = await post(control, PAUSE | {"mode": "quiesce"})
    assert code == 200
    assert second["system"]["mode"] == "quiesce"
    assert second["system"]["requestedAt"] == first["system"]["requestedAt"]
    assert second["system"]["updatedAt"] > first["system"]["updatedAt"]
    code, third = await post(control, PAUSE | {"mode": "quiesce", "reason": "Rack 4"})
    assert (code, third["system"]["reason"]) == (200, "Rack 4")
    versions = [each["system"]["version"] for each in (first, second, third)]
    assert versions == sorted(set(versions))


async def test_an_unchanged_pause_is_a_conflict(control: ClientSession, store_url: str) -> None:
    """P-6, 70-21: the same pause again, and a resume while running, change nothing."""
    before = dump(store_url)
    code, problem = await post(control, RESUME)
    assert (code, problem["code"]) == (409, "pause_unchanged")
    assert problem["detail"] == "the workers are running already"
    assert dump(store_url) == before
    await post(control, PAUSE)
    before = dump(store_url)
    code, problem = await post(control, PAUSE)
    assert (code, problem["code"]) == (409, "pause_unchanged")
    assert dump(store_url) == before


async def test_resume_waits_for_the_drain_unless_forced(
    control: ClientSession, store: Store, store_url: str
) -> None:
    """P-6: not_drained comes with the counts; forceResume goes on, and the audit says so."""
    await given.running(store)
    await post(control, PAUSE)
    before = dump(store_url)
    code, problem = await post(control, RESUME)
    assert (code, problem["code"]) == (409, "not_drained")
    assert problem["detail"] == "1 job still runs: wait for the drain, or force the resume"
    assert problem["metrics"] == {
        "queued": 0,
        "delayed": 0,
        "running": 1,
        "staleRunning": 0,
        "isDrained": False,
    }
    assert dump(store_url) == before
    code, shown = await post(control, RESUME | {"forceResume": True, "reason": "It can wait"})
    assert code == 200
    assert shown["system"]["workersPaused"] is False
    latest = shown["audit"]["latest"][0]
    assert (latest["action"], latest["forced"], latest["reason"]) == ("resume", True, "It can wait")


async def test_a_pause_until_a_time(control: ClientSession, store: Store) -> None:
    """P-13, 70-47: shown with the state; moving only the time is a change; it ends with the pause."""
    ends = to_rfc3339(await now_ms(store) + HOUR_MS)
    _, paused = await post(control, PAUSE | {"until": ends})
    assert paused["system"]["until"] == ends
    code, problem = await post(control, PAUSE | {"until": ends})
    assert (code, problem["code"]) == (409, "pause_unchanged")
    moved = to_rfc3339(from_rfc3339(ends) + 1)
    # The same moment written in another zone is the same.
    elsewhere = datetime.fromisoformat(moved).astimezone(timezone(timedelta(hours=2))).isoformat()
    _, shown = await post(control, PAUSE | {"until": elsewhere})
    assert shown["system"]["until"] == moved
    assert shown["system"]["version"] == paused["system"]["version"] + 1
    _, shown = await post(control, PAUSE)
    assert shown["system"]["until"] is None
    _, resumed = await post(control, RESUME)
    assert resumed["system"]["until"] is None


async def test_a_version_that_is_not_the_current_one_is_refused(
    control: ClientSession, store_url: str
) -> None:
    """P-6: a caller who saw an older state changes nothing; one who saw the current state does."""
    _, paused = await post(control, PAUSE)
    seen = paused["system"]["version"]
    before = dump(store_url)
    for body in (PAUSE | {"reason": "Another"}, RESUME):
        code, problem = await post(control, body | {"expectedVersion": seen - 1})
        assert (code, problem["code"]) == (409, "version_conflict")
    assert dump(store_url) == before
    code, _ = await post(control, RESUME | {"expectedVersion": seen})
    assert code == 200


async def test_of_concurrent_calls_one_wins_and_the_others_are_told(control: ClientSession) -> None:
    """P-6: calls that saw one version serialise: one 200, clear 409s, one audit entry."""
    version = (await status(control))["system"]["version"]
    answers = await asyncio.gather(
        *(post(control, PAUSE | {"reason": f"Call {n}", "expectedVersion": version}) for n in range(8))
    )
    assert sorted(code for code, _ in answers) == [200] + [409] * 7
    assert {body["code"] for code, body in answers if code == 409} == {"version_conflict"}
    assert len((await status(control))["audit"]["latest"]) == 1


async def test_concurrent_calls_that_saw_nothing_serialise_too(control: ClientSession, store: Store) -> None:
    """P-6: without expectedVersion one of equal calls wins, the others would change nothing; each change has
    its own version and audit entry, whatever the order."""
    await given.running(store)
    for body, code in (
        (PAUSE, "pause_unchanged"),
        (RESUME, "not_drained"),
        (RESUME | {"forceResume": True}, "pause_unchanged"),
    ):
        answers = await asyncio.gather(*(post(control, body) for _ in range(8)))
        refused = [problem["code"] for status_code, problem in answers if status_code == 409]
        assert refused == [code] * (8 if code == "not_drained" else 7)
    mixed = [PAUSE | {"reason": f"Call {n}"} if n % 2 else RESUME | {"forceResume": True} for n in range(16)]
    answers = await asyncio.gather(*(post(control, body) for body in mixed))
    codes = [status_code for status_code, _ in answers]
    assert set(codes) <= {200, 409}
    changed = codes.count(200)
    shown = await status(control)
    assert shown["system"]["version"] == 2 + changed
    entries, _ = await audit.page(store, audit.AuditFilter(control="worker_pause"))
    assert len(entries) == 2 + changed


async def test_stale_jobs_hold_up_the_drain_and_are_named(
    control: ClientSession, store: Store, store_url: str
) -> None:
    """P-10, 70-47: counts do not overlap, delayed ones are apart; reading them changes nothing. A stale job
    is marked, and comes with what ends it."""
    stale = await given.stale(store, worker_id="worker-gone")
    running = await given.running(store, worker_id="worker-2")
    await given.queued(store)
    await given.queued(store, delay_ms=600_000)
    await post(control, PAUSE)
    before = dump(store_url)
    shown = await status(control)
    assert shown["metrics"] == {
        "queued": 1,
        "delayed": 1,
        "running": 1,
        "staleRunning": 1,
        "isDrained": False,
    }
    first, second = shown["drain"]["blockers"]
    assert first.pop("stale") is True
    remedies = first.pop("remedies")
    assert [first, second] == [
        {
            "jobId": job.id,
            "workerId": job.claimed_by,
            "runningSince": job.started_at,
            "leaseExpiresAt": job.lease_expires_at,
        }
        for job in (stale, running)
    ]
    assert [each["action"] for each in remedies] == ["cancel", "resume"]
    assert f"sluicegate jobs cancel {stale.id}" in remedies[0]["message"]
    assert "sluicegate resume --force" in remedies[1]["message"]
    assert dump(store_url) == before


async def test_the_remedies_of_a_stale_job_end_it(control: ClientSession, store: Store) -> None:
    """P-10, 70-54: while paused a cancel ends it at once; a forced resume hands it to the sweeper."""
    first, second = await given.stale(store), await given.stale(store)
    await post(control, PAUSE)
    await cancellation.cancel(store, first.id, actor="someone")
    assert (await jobs.get(store, first.id)).status == "cancelled"
    assert [each["jobId"] for each in (await status(control))["drain"]["blockers"]] == [second.id]
    assert await sweeping.expire_leases(store) is None
    await post(control, RESUME | {"forceResume": True})
    assert await sweeping.expire_leases(store) == 1
    assert (await status(control))["metrics"]["isDrained"] is True


async def test_the_estimate_comes_from_runs_of_the_same_type(control: ClientSession, store: Store) -> None:
    """P-13, 70-47: null until enough runs of the type have ended; then p50 and p90."""
    runs = [await given.running(store, "build", worker_id=f"worker-{n}") for n in range(6)]
    assert (await status(control))["drain"]["estimate"] is None
    # Each attempt of the past lasts at least as long as this; the one that runs then has only begun.
    await past(store, await now_ms(store) + 1000)
    for job in runs:
        await given.complete(store, job)
    await given.running(store, "build")
    estimate = (await status(control))["drain"]["estimate"]
    assert 0 < estimate["p50Seconds"] <= estimate["p90Seconds"] < 60
    await given.running(store, "never-ran")
    assert (await status(control))["drain"]["estimate"] is None


async def test_what_waits_for_a_person_has_no_estimate(control: ClientSession, store: Store) -> None:
    """P-13: quiesced as a whole or in part, or held by an operator, a job ends when somebody says so."""
    runs = [await given.running(store, "build", worker_id=f"worker-{n}") for n in range(5)]
    await past(store, await now_ms(store) + 1000)
    for job in runs:
        await given.complete(store, job)
    job = await given.running(store, "build", worker_id="worker-1")
    by: dict[str, Any] = {"actor": "ann", "reason": "disk"}

    async def estimated() -> bool:
        return (await status(control))["drain"]["estimate"] is not None

    assert await estimated()
    await post(control, PAUSE | {"mode": "quiesce"})
    assert not await estimated()
    await post(control, PAUSE)
    assert await estimated()
    scopes: tuple[tuple[Any, str], ...] = (("type", "build"), ("worker", "worker-1"))
    for scope, value in scopes:
        await narrow_pauses.change(store, scope=scope, value=value, action="pause", mode="quiesce", **by)
        assert not await estimated()
        await narrow_pauses.change(store, scope=scope, value=value, action="pause", mode="drain", **by)
        assert await estimated()
    await controls.request(store, job.id, controls.Request(action="takeover", metadata={}, **by))
    assert not await estimated()
    await controls.request(store, job.id, controls.Request(action="resume", metadata={}, **by))
    assert await estimated()


async def test_each_change_is_audited_newest_first(control: ClientSession) -> None:
    """P-3: id, control, action, mode, reason, actor, time, forced; the latest five with the status."""
    for n in range(3):
        await post(control, PAUSE | {"reason": f"Round {n}"})
        await post(control, RESUME)
    latest = (await status(control))["audit"]["latest"]
    assert [(each["action"], each["reason"]) for each in latest] == [
        ("resume", None),
        ("pause", "Round 2"),
        ("resume", None),
        ("pause", "Round 1"),
        ("resume", None),
    ]
    entry = latest[1]
    assert entry.pop("id") and from_rfc3339(entry.pop("createdAt")) > 0
    assert entry == {
        "control": "worker_pause",
        "action": "pause",
        "mode": "drain",
        "reason": "Round 2",
        "actorUserId": "local-operator",
        "target": None,
        "forced": False,
    }


async def test_each_change_is_one_log_line(control: ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    """P-3: a pause and a resume are structured log lines; a refused call is none."""
    with caplog.at_level(logging.INFO, "sluicegate"):
        await post(control, PAUSE)
        await post(control, PAUSE)
        await post(control, RESUME)
    lines = [
        (record.getMessage(), record.__dict__["fields"])
        for record in caplog.records
        if record.__dict__.get("fields", {}).get("control") == "worker_pause"
    ]
    assert [event for event, _ in lines] == ["workers_paused", "workers_resumed"]
    paused = lines[0][1]
    assert (paused["mode"], paused["reason"], paused["actor"]) == (
        "drain",
        "Upgrade to 2.0",
        "local-operator",
    )
    assert paused["version"] < lines[1][1]["version"]


MALFORMED: dict[str, tuple[Any, int]] = {
    "no action": ({"mode": "drain", "reason": "x"}, 400),
    "unknown action": ({"action": "stop", "mode": "drain", "reason": "x"}, 400),
    "action of another type": ({"action": 1, "mode": "drain", "reason": "x"}, 400),
    "no mode": ({"action": "pause", "reason": "x"}, 400),
    "null mode": ({"action": "pause", "mode": None, "reason": "x"}, 400),
    "unknown mode": ({"action": "pause", "mode": "stop", "reason": "x"}, 400),
    "no reason": ({"action": "pause", "mode": "drain"}, 400),
    "blank reason": ({"action": "pause", "mode": "drain", "reason": " \t\n"}, 400),
    "reason of another type": ({"action": "pause", "mode": "drain", "reason": ["x"]}, 400),
    "endless reason": ({"action": "pause", "mode": "drain", "reason": "x" * 2001}, 400),
    "until no time": (PAUSE | {"until": "soon"}, 400),
    "until a time without zone": (PAUSE | {"until": "2126-01-31T12:00:00"}, 400),
    "until of another type": (PAUSE | {"until": 5}, 400),
    "until the past": (PAUSE | {"until": "2026-01-31T12:00:00Z"}, 400),
    "until the beginning of time": (PAUSE | {"until": "1970-01-01T00:00:00Z"}, 400),
    "until the end of time": (PAUSE | {"until": "9999-12-31T23:59:59.999-12:00"}, 400),
    "until with a resume": (RESUME | {"until": "2126-01-31T12:00:00Z"}, 400),
    "unknown field": (PAUSE | {"force": True}, 422),
    "forceResume of another type": (PAUSE | {"forceResume": "yes"}, 422),
    "forceResume with a pause": (PAUSE | {"forceResume": True}, 422),
    "version of another type": (PAUSE | {"expectedVersion": "1"}, 422),
    "negative version": (PAUSE | {"expectedVersion": -1}, 422),
    "a list": ([PAUSE], 422),
}


@pytest.mark.parametrize(("body", "expected"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_call_changes_nothing(
    control: ClientSession, store_url: str, body: Any, expected: int
) -> None:
    """P-6, 70-3, 70-47: 400 for action, mode, reason, until; 422 for all else; always a problem document."""
    before = dump(store_url)
    code, problem = await post(control, body)
    assert code == expected
    assert problem["code"] == {400: "bad_request", 422: "validation_failed"}[expected]
    assert problem["status"] == expected
    assert dump(store_url) == before


@pytest.mark.parametrize(
    ("raw", "content_type", "code"),
    [
        (b"", "application/json", "bad_request"),
        (b"{", "application/json", "bad_request"),
        (b"\xff\xfe", "application/json", "bad_request"),
        (b'{"action":"pause","mode":"drain","reason":"x"}', "text/plain", "unsupported_media_type"),
        (b"action=pause&mode=drain&reason=x", "application/x-www-form-urlencoded", "unsupported_media_type"),
    ],
)
async def test_a_body_that_is_not_json_changes_nothing(
    control: ClientSession, store_url: str, raw: bytes, content_type: str, code: str
) -> None:
    """70-3, 70-42."""
    before = dump(store_url)
    async with control.post(URL, data=raw, headers={"Content-Type": content_type}) as response:
        assert (await response.json())["code"] == code
    assert dump(store_url) == before


async def test_a_page_of_another_site_cannot_pause(control: ClientSession, store_url: str) -> None:
    """70-18: while auth is disabled an Origin that is not the own one is refused."""
    before = dump(store_url)
    code, problem = await post(control, PAUSE, Origin="https://example.org")
    assert (code, problem["code"]) == (403, "csrf_failed")
    assert dump(store_url) == before


async def test_a_lost_record_is_not_an_open_gate(control: ClientSession, store: Store) -> None:
    """P-11: without a record the state is 503, and an explicit call writes it anew with a higher version."""
    _, paused = await post(control, PAUSE)
    await store.command("DEL", keys.PAUSE)
    async with control.get(URL) as response:
        assert (response.status, (await response.json())["code"]) == (503, "store_uninitialised")
        assert "Retry-After" in response.headers
    code, again = await post(control, PAUSE)
    assert code == 200
    assert again["system"]["version"] > paused["system"]["version"]


async def test_the_pause_outlives_the_service(control: ClientSession, store: Store) -> None:
    """P-2: the record is the store's."""
    _, paused = await post(control, PAUSE)
    assert (await pause_record.read(store)).version == paused["system"]["version"]
