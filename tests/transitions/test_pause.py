"""pause: one switch that all claims obey, with versions that only grow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sluicegate import keys
from sluicegate.errors import BadRequest, Conflict
from sluicegate.model import SystemState
from sluicegate.store import audit, endings, jobs, pause
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339
from tests.support.contents import changed, contents
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms


async def paused(store: Store, **rest: Any) -> SystemState:
    described = {"mode": "drain", "reason": "upgrade", "actor": "ann"} | rest
    return await pause.change(store, action="pause", **described)


async def resumed(store: Store, **rest: Any) -> SystemState:
    return await pause.change(store, action="resume", **({"actor": "bob"} | rest))


async def refused(store: Store, call: Callable[[], Awaitable[Any]]) -> Conflict:
    """The conflict that the call ends in; nothing was written."""
    before = await contents(store)
    with pytest.raises(Conflict) as conflict:
        await call()
    assert await contents(store) == before
    return conflict.value


async def test_a_new_store_runs(store: Store) -> None:
    """P-2: not paused, version 0, and nothing that would describe a pause."""
    state = await pause.read(store)
    assert state == SystemState(workers_paused=False, updated_at=state.updated_at, version=0)


async def test_a_pause_is_recorded(store: Store, builder: JobBuilder) -> None:
    """P-1, P-2, P-3: the state, the audit and the push, in one step."""
    await builder.waiting()
    before = await contents(store)
    state = await paused(store, mode="quiesce")
    after = await contents(store)
    assert changed(before, after) == {"pause", "meta", "audit", "control", "counters", "events"}
    assert state == SystemState(
        workers_paused=True, mode="quiesce", reason="upgrade", requested_by_user_id="ann",
        requested_at=state.updated_at, updated_at=state.updated_at, version=1,
    )  # fmt: skip
    assert await pause.read(store) == state
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.mode, entry.reason, entry.actor_user_id, entry.forced) == (
        "worker_pause", "pause", "quiesce", "upgrade", "ann", False,
    )  # fmt: skip
    assert list(after["control"]["entries"].values()) == [{"kind": "pause"} | after["pause"]]
    assert after["counters"]["pause:pause:quiesce"] == "1"
    assert await builder.claim() == []


async def test_a_resume_clears_the_pause(store: Store, builder: JobBuilder) -> None:
    """P-2, P-3: the fields of the pause are gone, the version grows, jobs flow again."""
    made = await builder.waiting()
    await paused(store)
    state = await resumed(store)
    assert state == SystemState(workers_paused=False, updated_at=state.updated_at, version=2)
    assert [(entry.action, entry.actor_user_id) for entry in (await audit.page(store))[0]] == [
        ("resume", "bob"), ("pause", "ann"),
    ]  # fmt: skip
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_pausing_again_updates(store: Store) -> None:
    """P-2: since when it is paused stays; who, why, how and the version change."""
    first = await paused(store)
    second = await paused(store, mode="quiesce", actor="bob")
    third = await paused(store, mode="quiesce", reason="another")
    assert [state.version for state in (first, second, third)] == [1, 2, 3]
    assert {state.requested_at for state in (first, second, third)} == {first.requested_at}
    assert (second.mode, second.requested_by_user_id, third.reason) == ("quiesce", "bob", "another")


async def test_what_would_change_nothing_is_refused(store: Store) -> None:
    assert (await refused(store, lambda: resumed(store))).code == "pause_unchanged"
    await paused(store)
    assert (await refused(store, lambda: paused(store, actor="bob"))).code == "pause_unchanged"


@pytest.mark.parametrize("state", ["running", "stale", "cancelling"])
async def test_a_resume_waits_for_the_drain_unless_forced(
    store: Store, builder: JobBuilder, state: str
) -> None:
    """P-10: stale jobs hold up a drain too; the refusal says what still runs."""
    made = await builder.made(state)
    await paused(store)
    conflict = await refused(store, lambda: resumed(store))
    stale = state == "stale"
    assert conflict.code == "not_drained"
    assert conflict.extra["metrics"] == {
        "queued": 0, "delayed": 0, "running": int(not stale), "staleRunning": int(stale), "isDrained": False,
    }  # fmt: skip
    assert not (await resumed(store, force=True)).workers_paused
    assert [entry.forced for entry in (await audit.page(store))[0]][:2] == [True, False]
    await paused(store)
    await builder.ended(made, endings.Complete(made.job_id, made.token))
    assert not (await resumed(store)).workers_paused


async def test_a_stale_version_is_refused(store: Store) -> None:
    assert (await paused(store, expected_version=0)).version == 1
    for version in (0, 2):
        conflict = await refused(store, lambda: resumed(store, expected_version=version))  # noqa: B023
        assert (conflict.code, conflict.extra) == ("version_conflict", {"version": 1})
    assert (await resumed(store, expected_version=1)).version == 2


async def test_concurrent_changes_come_one_after_another(store: Store) -> None:
    """Of many calls that saw the same version one wins; versions never repeat (P-2)."""
    results = await asyncio.gather(
        *(paused(store, reason=f"reason {at}", expected_version=0) for at in range(10)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 9 + ["SystemState"]
    changes = await asyncio.gather(*(paused(store, reason=f"another {at}") for at in range(10)))
    assert sorted(state.version for state in changes) == list(range(2, 12))


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_a_lost_record_is_written_anew_by_an_explicit_call(
    store: Store, builder: JobBuilder, action: str
) -> None:
    """Its version is beyond all that were ever given out (P-2)."""
    await paused(store)
    await paused(store, reason="another")
    await store.command("DEL", keys.PAUSE)
    state = await (paused(store) if action == "pause" else resumed(store))
    assert (state.workers_paused, state.version) == (action == "pause", 3)


async def test_running_jobs_go_on_while_paused(store: Store, builder: JobBuilder) -> None:
    """P-1: without touching the queue."""
    made = await builder.running()
    await paused(store)
    assert (await builder.ended(made, endings.Complete(made.job_id, made.token))).status == "succeeded"


async def test_what_ends_while_paused_waits_for_the_resume(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    await paused(store)
    await builder.ended(made, endings.Release(made.job_id, made.token))
    assert (await jobs.counts(store)).queued == 1
    assert await builder.claim() == []
    await resumed(store)
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_a_resume_wakes_one_worker_of_each_policy(store: Store, builder: JobBuilder) -> None:
    """Bells that rang while paused were answered by nobody; what became due rang none."""
    for policy in (builder.everything, builder.work):
        await builder.claim(policy)
    await paused(store)
    bells = [keys.bell(policy.id) for policy in (builder.everything, builder.work)]
    await store.command("DEL", *bells)
    await resumed(store)
    assert [await store.command("LLEN", bell) for bell in bells] == [1, 1]


async def test_a_pause_may_say_until_when(store: Store) -> None:
    """P-13, 70-47: the time is part of the state; another one, or none, is a change."""
    ends = await now_ms(store) + HOUR_MS
    first = await paused(store, until_ms=ends)
    assert first.until == to_rfc3339(ends)
    assert await pause.read(store) == first
    assert (await refused(store, lambda: paused(store, until_ms=ends))).code == "pause_unchanged"
    later = await paused(store, until_ms=ends + 1)
    assert (later.until, later.version) == (to_rfc3339(ends + 1), first.version + 1)
    for_good = await paused(store)
    assert (for_good.until, for_good.version) == (None, first.version + 2)
    await paused(store, until_ms=ends)
    assert (await resumed(store)).until is None


@pytest.mark.parametrize("ends_in", [-HOUR_MS, 0, None])
async def test_a_pause_that_is_over_before_it_begins_is_refused(store: Store, ends_in: int | None) -> None:
    """70-47: by the store's clock. None: the first millisecond of all."""
    before = await contents(store)
    ends = 0 if ends_in is None else await now_ms(store) + ends_in
    with pytest.raises(BadRequest) as wrong:
        await paused(store, until_ms=ends)
    assert [each["path"] for each in wrong.value.extra["errors"]] == ["until"]
    assert await contents(store) == before
