"""Pause, resume and counts through the client, alike over both transports (P-6, 70-58)."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.client import Client
from sluicegate.errors import BadRequest, Conflict, Invalid, SluicegateError
from sluicegate.store import workers
from sluicegate.store.connection import Store
from sluicegate.store.workers import Presence
from sluicegate.times import to_rfc3339
from tests.support import given
from tests.support.job_builder import HOUR_MS


async def test_a_fresh_deployment_runs(client: Client) -> None:
    state = await client.pause_state()
    assert not state.system.workers_paused
    assert state.system.mode is None and state.system.reason is None
    assert state.audit.latest == []


async def test_pause_and_resume(client: Client) -> None:
    """P-2, P-3, P-6: who, why and since when; the version only grows; each change is audited."""
    before = (await client.pause_state()).system.version
    paused = await client.pause("drain", "upgrade")
    assert paused.system.workers_paused and paused.system.mode == "drain"
    assert paused.system.reason == "upgrade" and paused.system.requested_at
    assert paused.system.requested_by_user_id == "local-operator"
    assert await client.pause_state() == paused

    changed = await client.pause("quiesce", "quick fix")
    assert changed.system.mode == "quiesce"
    assert changed.system.requested_at == paused.system.requested_at
    resumed = await client.resume(reason="done")
    assert not resumed.system.workers_paused
    assert before < paused.system.version < changed.system.version < resumed.system.version
    assert [(entry.action, entry.reason) for entry in resumed.audit.latest] == [
        ("resume", "done"), ("pause", "quick fix"), ("pause", "upgrade"),
    ]  # fmt: skip


async def test_a_pause_until_a_time(client: Client, store: Store) -> None:
    """P-13."""
    ends = to_rfc3339(await store.now_ms() + HOUR_MS)
    paused = await client.pause("drain", "upgrade", until=ends)
    assert paused.system.until == ends
    assert (await client.pause("drain", "upgrade")).system.until is None
    error = await refused(
        client.pause("drain", "late", until="2026-01-31T12:00:00Z"), BadRequest, "bad_request"
    )
    assert [each["path"] for each in error.extra["errors"]] == ["until"]


async def test_a_part_is_paused_and_lifted(client: Client, store: Store) -> None:
    """P-12: alike over both; all workers are another switch."""
    ends = to_rfc3339(await store.now_ms() + HOUR_MS)
    first = await client.pause("drain", "broken", scope="repository", value="acme/a", until=ends)
    (item,) = first.items
    assert (item.scope, item.value, item.mode, item.until) == (
        "repository", "github.com/acme/a", "drain", ends,
    )  # fmt: skip
    both = await client.pause("quiesce", "hot", scope="worker", value="w-1")
    assert [each.scope for each in both.items] == ["repository", "worker"]
    assert await client.pauses() == both
    assert not (await client.pause_state()).system.workers_paused
    seen = item.version
    await refused(
        client.resume(scope="repository", value="acme/a", expected_version=seen + 5),
        Conflict,
        "version_conflict",
    )
    left = await client.resume(scope="repository", value="acme/a", expected_version=seen)
    assert [each.scope for each in left.items] == ["worker"]
    await refused(client.resume(scope="repository", value="acme/a"), Conflict, "pause_unchanged")
    assert (await client.resume(scope="worker", value="w-1", reason="cool")).items == []


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ({"scope": "lane", "value": "x"}, "scope"),
        ({"scope": "type", "value": "No"}, "value"),
        ({"scope": "repository", "value": "acme"}, "value"),
        ({"scope": "type"}, "value"),
        ({"value": "x"}, "scope"),
    ],
)
async def test_a_malformed_part_is_refused_alike(client: Client, call: dict[str, str], path: str) -> None:
    """70-22: and never taken for a pause of all workers."""
    error = await refused(client.pause("drain", "x", **call), BadRequest, "bad_request")  # type: ignore[call-overload]
    assert [each["path"] for each in error.extra["errors"]] == [path]
    assert not (await client.pause_state()).system.workers_paused


async def test_an_unchanged_pause_is_refused(client: Client) -> None:
    """P-6."""
    await client.pause("drain", "upgrade")
    await refused(client.pause("drain", "upgrade"), Conflict, "pause_unchanged")
    await client.resume()
    await refused(client.resume(), Conflict, "pause_unchanged")


async def test_resume_waits_for_the_drain_unless_forced(client: Client, store: Store) -> None:
    """P-6, P-10: the refusal says what still runs."""
    job = await given.running(store)
    paused = await client.pause("drain", "upgrade")
    assert [blocker.job_id for blocker in paused.drain.blockers] == [job.id]
    error = await refused(client.resume(), Conflict, "not_drained")
    assert error.extra["metrics"] == {
        "queued": 0, "delayed": 0, "running": 1, "staleRunning": 0, "isDrained": False,
    }  # fmt: skip
    resumed = await client.resume(force=True)
    assert not resumed.system.workers_paused
    assert resumed.audit.latest[0].forced


async def test_a_stale_version_is_refused(client: Client) -> None:
    """P-6: who decides on an old picture gets a conflict."""
    seen = (await client.pause_state()).system.version
    await client.pause("drain", "first", expected_version=seen)
    await refused(client.pause("drain", "second", expected_version=seen), Conflict, "version_conflict")
    await refused(client.resume(expected_version=seen), Conflict, "version_conflict")
    assert (await client.pause_state()).system.reason == "first"


@pytest.mark.parametrize(
    ("call", "kind", "path"),
    [
        ({"mode": "sleep", "reason": "x"}, BadRequest, "mode"),
        ({"mode": "drain", "reason": ""}, BadRequest, "reason"),
        ({"mode": "drain", "reason": "  "}, BadRequest, "reason"),
        ({"mode": "drain", "reason": 7}, BadRequest, "reason"),
        ({"mode": "drain", "reason": "x", "expected_version": -1}, Invalid, "expectedVersion"),
    ],
)
async def test_a_malformed_pause_is_refused_alike(
    client: Client, call: dict[str, Any], kind: type[SluicegateError], path: str
) -> None:
    """70-3: action, mode and reason are 400, the rest 422."""
    error = await refused(client.pause(**call), kind, kind.default_code)
    assert [each["path"] for each in error.extra["errors"]] == [path]
    assert not (await client.pause_state()).system.workers_paused


async def test_counts_are_exact(client: Client, store: Store) -> None:
    """P-10: delayed, running and stale jobs count apart."""
    await given.stale(store)
    await given.running(store)
    await given.queued(store)
    await given.queued(store, delay_ms=60_000)
    await given.queued(store, delay_ms=60_000)
    counts = await client.counts()
    assert (counts.queued, counts.delayed, counts.running, counts.stale_running) == (1, 2, 1, 1)
    assert not counts.is_drained


async def test_workers_are_those_heard_of(client: Client, store: Store) -> None:
    assert await client.workers() == []
    presence = Presence(
        worker_id="w-1", host="here", pid=7, version="1", transport="redis", capabilities=["git"],
        types=None, slots=4, state="busy", jobs=["j"],
    )  # fmt: skip
    await workers.announce(store, presence)
    (found,) = await client.workers()
    assert found.last_seen
    found.last_seen = ""
    assert found == presence


async def refused(call: Any, kind: type[SluicegateError], code: str) -> SluicegateError:
    with pytest.raises(SluicegateError) as caught:
        await call
    assert (type(caught.value), caught.value.code) == (kind, code)
    return caught.value
