"""condemn: a dead letter is marked before the first of its files goes, and nobody brings it back."""

from __future__ import annotations

import pytest
import uuid_utils

from sluicegate import keys
from sluicegate.errors import Conflict, NotFound
from sluicegate.store import audit, dead_letters, jobs
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, now_ms


async def test_a_purge_is_audited_before_it_destroys_anything(store: Store, builder: JobBuilder) -> None:
    """Q-8: the mark and the audit in one step; the job is still there, as it was."""
    made = await builder.dead_letter()
    before = await contents(store)
    assert await dead_letters.condemn(store, [made.job_id], actor="ann", reason="old") == [None]
    assert changed(before, await contents(store)) == {"condemned", "audit"}
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.actor_user_id, entry.reason, entry.target) == (
        "dead_letter_purge", "purge", "ann", "old", made.job_id,
    )  # fmt: skip
    assert (await jobs.get(store, made.job_id)).status == "dead_letter"


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    """Q-8: whoever repeats a purge that was cut short goes on with it; the audit has it once."""
    made = await builder.dead_letter()
    await dead_letters.condemn(store, [made.job_id], actor="ann")
    before = await contents(store)
    assert await dead_letters.condemn(store, [made.job_id, made.job_id], actor="bob") == [None, None]
    assert await contents(store) == before


async def test_retention_is_not_audited(store: Store, builder: JobBuilder) -> None:
    """Q-15"""
    made = await builder.dead_letter()
    assert await dead_letters.condemn(store, [made.job_id]) == [None]
    assert await audit.page(store) == ([], None)


@pytest.mark.parametrize(
    "state",
    ["waiting", "delayed", "returned", "running", "stale", "cancelling", "succeeded", "failed", "cancelled"],
)
async def test_only_dead_letters_are_condemned(store: Store, builder: JobBuilder, state: str) -> None:
    """Q-8"""
    made = await builder.made(state)
    status = (await jobs.get(store, made.job_id)).status
    before = await contents(store)
    (refused,) = await dead_letters.condemn(store, [made.job_id], actor="ann")
    assert isinstance(refused, Conflict)
    assert (refused.code, refused.extra) == ("job_state_conflict", {"jobStatus": status})
    assert await contents(store) == before


async def test_an_unknown_job_is_not_found(store: Store) -> None:
    before = await contents(store)
    (refused,) = await dead_letters.condemn(store, [str(uuid_utils.uuid7())], actor="ann")
    assert isinstance(refused, NotFound)
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_a_mark_without_its_job_goes(store: Store, builder: JobBuilder) -> None:
    """Otherwise the sweeper would come back to it for ever."""
    await store.command("ZADD", keys.CONDEMNED, 1, "gone")
    (refused,) = await dead_letters.condemn(store, ["gone"])
    assert isinstance(refused, NotFound)
    assert await store.command("EXISTS", keys.CONDEMNED) == 0


async def test_what_was_abandoned_is_found_oldest_first(store: Store, builder: JobBuilder) -> None:
    """Q-15: only what was condemned long enough ago that nobody is at it any more."""
    made = [(await builder.dead_letter(type=f"t{at}")).job_id for at in range(3)]
    await dead_letters.condemn(store, made)
    now = await now_ms(store)
    for at, job_id in enumerate(made):
        await store.command("ZADD", keys.CONDEMNED, now - (3 - at) * 100_000, job_id)
    assert await dead_letters.condemned(store, older_than_ms=150_000) == made[:2]
    assert await dead_letters.condemned(store, older_than_ms=150_000, limit=1) == made[:1]
    assert await dead_letters.condemned(store, older_than_ms=400_000) == []
