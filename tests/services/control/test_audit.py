"""`/api/system/audit`: who did what, by pages and by what is looked for (P-3, C-7)."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from aiohttp import ClientSession

from sluicegate import keys
from sluicegate.operations import credentials
from sluicegate.operations.calls import AuditAction, AuditControl
from sluicegate.store import (
    audit,
    cancellation,
    controls,
    dead_letters,
    live_sessions,
    messages,
    narrow_pauses,
    pause,
)
from sluicegate.store.audit import AuditFilter
from sluicegate.store.connection import Store
from sluicegate.times import from_rfc3339, to_rfc3339
from tests.support.job_builder import JobBuilder, now_ms, past
from tests.support.tokens import operator_token, worker_token

URL = "/api/system/audit"


async def get(service: ClientSession, **params: Any) -> tuple[int, dict[str, Any]]:
    async with service.get(URL, params=params) as response:
        return response.status, await response.json()


async def shown(service: ClientSession, **params: Any) -> list[dict[str, Any]]:
    """All that fits, page by page; every entry once, a null cursor at the end (70-2)."""
    found: list[dict[str, Any]] = []
    while True:
        code, page = await get(service, **params)
        assert code == 200, page
        assert len(page["items"]) <= int(params.get("limit", 50))
        found += page["items"]
        if page["nextCursor"] is None:
            assert len({entry["id"] for entry in found}) == len(found)
            return found
        params["cursor"] = page["nextCursor"]


async def pause_rounds(store: Store, number: int, actor: str = "alex") -> None:
    for n in range(number):
        await pause.change(store, action="pause", mode="drain", reason=f"Round {n}", actor=actor)


async def test_it_is_read_in_pages(control: ClientSession, store: Store) -> None:
    """P-3, 70-2: newest first."""
    await pause_rounds(store, 7)
    entries = await shown(control, limit=3)
    assert [entry["reason"] for entry in entries] == [f"Round {n}" for n in reversed(range(7))]
    assert {entry["actorUserId"] for entry in entries} == {"alex"}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "x"},
        {"cursor": "x"},
        {"page": 2},
        {"control": "live"},
        {"action": "pasue"},
        {"actor": ""},
        {"target": ""},
        {"target": "repository:acme"},
        {"since": "yesterday"},
        {"until": "2026-01-31T12:00:00"},
        {"until": "2026-01-31T12:00:00Z", "since": "2026-01-31T12:00:00Z"},
    ],
    ids=str,
)
async def test_wrong_parameters_are_refused(control: ClientSession, params: dict[str, Any]) -> None:
    """70-3: a number out of range is refused, not clamped; an unknown parameter is not ignored."""
    code, problem = await get(control, **params)
    assert (code, problem["code"]) == (422, "validation_failed")
    assert [each["path"] for each in problem["errors"]] == [next(iter(params))]


async def test_every_control_and_action_is_one_that_leaves_entries(
    control: ClientSession, store: Store
) -> None:
    """P-3, C-7, Q-8, Q-11, L-3: what operators do; each is found by its control, action, actor and target."""
    make = JobBuilder(store)
    cancelled, dead, purged = await make.running(), await make.dead_letter(), await make.dead_letter()
    run = await make.running()
    by: dict[str, Any] = {"actor": "ann"}
    await cancellation.cancel(store, cancelled.job_id, **by)
    await dead_letters.redrive(store, [dead.job_id], **by)
    await dead_letters.condemn(store, [purged.job_id], **by)
    await controls.request(
        store, run.job_id, controls.Request(action="takeover", reason="mine", metadata={}, **by)
    )
    await messages.send(store, run.job_id, "mind the gap", **by)
    await live_sessions.report(store, "worker-1", run.job_id, run.token, "ready", provider="browser")
    await live_sessions.grant(store, run.job_id, 5, **by)
    await live_sessions.revoke(store, run.job_id, **by)
    mine = (await worker_token(store)).worker_token.id
    await credentials.rotate(store, "worker", mine, **by)
    theirs = (await operator_token(store, "viewer")).operator_token.id
    await credentials.revoke(store, "operator", theirs, **by)
    await pause.change(store, action="pause", mode="drain", reason="x", **by)
    await pause.change(store, action="resume", force=True, **by)
    entries = await shown(control)
    assert {entry["control"] for entry in entries} == set(get_args(AuditControl))
    assert {entry["action"] for entry in entries} == set(get_args(AuditAction))
    for control_name in get_args(AuditControl):
        expected = [entry for entry in entries if entry["control"] == control_name]
        assert await shown(control, control=control_name) == expected
    for target in (cancelled.job_id, dead.job_id, purged.job_id, run.job_id, mine, theirs):
        expected = [entry for entry in entries if entry["target"] == target]
        assert await shown(control, target=target) == expected
    assert len(await shown(control, actor="ann")) == len(entries)
    assert await shown(control, actor="bob") == []
    both = await shown(control, control="worker_pause", action="resume")
    assert [(entry["action"], entry["forced"]) for entry in both] == [("resume", True)]


async def test_a_repository_is_found_in_any_form(control: ClientSession, store: Store) -> None:
    """P-12, 70-17."""
    what: dict[str, Any] = {"scope": "repository", "value": "github.com/acme/a"}
    await narrow_pauses.change(store, action="pause", mode="drain", reason="broken", actor="ann", **what)
    for form in ("acme/a", "https://github.com/Acme/a.git", "git@github.com:acme/a"):
        (entry,) = await shown(control, target=f"repository:{form}")
        assert entry["target"] == "repository:github.com/acme/a"
    assert await shown(control, target="repository:acme/b") == []


async def test_a_time_is_a_part_of_the_stream(control: ClientSession, store: Store) -> None:
    """since is within what is meant, until is not, so that two spans that meet share no entry."""
    moments = []
    for n in range(4):
        await past(store, await now_ms(store))
        await pause.change(store, action="pause", mode="drain", reason=f"Round {n}", actor="alex")
        moments.append((await audit.page(store, limit=1))[0][0].created_at)
    _, second, third, last = moments

    async def rounds(**params: Any) -> list[int]:
        return [int(entry["reason"].split()[1]) for entry in await shown(control, limit=1, **params)]

    assert await rounds(since=second, until=last) == [2, 1]
    assert await rounds(until=second) == [0]
    assert await rounds(since=last, control="worker_pause") == [3]
    assert await rounds(since=second.replace("Z", "+00:00")) == [3, 2, 1]
    assert await rounds(until="1969-12-31T23:59:59Z") == [] == await rounds(until="1970-01-01T00:00:00Z")
    assert await rounds(since="1900-01-01T00:00:00Z", until=third) == [1, 0]
    after = to_rfc3339(from_rfc3339(last) + 1)
    assert await rounds(since=after) == []


async def test_a_page_reads_a_bounded_part(store: Store) -> None:
    """70-57: what is rare is found over several pages; none reads more than 2,000 entries."""
    await pause_rounds(store, 1, actor="rare")
    filler = ("XADD", keys.AUDIT, "*", "control", "job_cancel", "action", "request", "actor", "often")
    for _ in range(5):
        await store.commands(*[filler] * 500)
    wanted = AuditFilter(actor="rare")
    entries, cursor = await audit.page(store, wanted)
    assert entries == [] and cursor is not None
    assert await store.command("XLEN", keys.AUDIT) == 2501
    assert len(await store.command("XRANGE", keys.AUDIT, cursor, "+")) == 2000
    entries, cursor = await audit.page(store, wanted, cursor=cursor)
    assert [entry.actor_user_id for entry in entries] == ["rare"] and cursor is None
    found, cursor = await audit.page(store, AuditFilter(actor="often"), limit=200)
    assert (len(found), cursor) == (200, found[-1].id)
    assert await audit.page(store, cursor="0-0") == ([], None)
