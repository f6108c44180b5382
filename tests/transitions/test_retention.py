"""retention: an ended job goes with all its keys, and nothing else goes."""

from __future__ import annotations

import pytest
import uuid_utils

from sluicegate import keys
from sluicegate.errors import Conflict, NotFound
from sluicegate.model import NewEvent
from sluicegate.store import dead_letters, events, jobs, retention, shelves
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, now_ms, past

ENDED = ["succeeded", "failed", "cancelled", "dead_letter"]


@pytest.mark.parametrize("state", ENDED)
async def test_an_ended_job_goes_with_all_its_keys(store: Store, builder: JobBuilder, state: str) -> None:
    """Q-15: in one step, steps, artifacts, facts and control events too; retention itself is not audited."""
    made = await builder.made(state)
    for shelf in ("steps", "artifacts", "facts"):
        await store.command("HSET", keys.job_shelf(made.job_id, shelf), "name", "value")
    await store.command("XADD", keys.job_controls(made.job_id), "*", "action", "pause")
    await store.command("HSET", keys.job_live(made.job_id), "id", "s")
    before = await contents(store)
    assert await retention.remove(store, state, [made.job_id]) == [None]
    after = await contents(store)
    gone = {name for name in before if name.startswith(f"job:{made.job_id}")}
    assert len(gone) == 7
    assert changed(before, after) == gone | {f"status:{state}", "events"} | (
        {"dead"} if state == "dead_letter" else set()
    )
    assert not gone & after.keys()
    assert await jobs.read(store, [made.job_id]) == [None]


@pytest.mark.parametrize("state", ["waiting", "delayed", "returned", "running", "stale", "cancelling"])
async def test_a_job_that_goes_on_is_never_removed(store: Store, builder: JobBuilder, state: str) -> None:
    """Q-15, whatever the caller believes."""
    made = await builder.made(state)
    status = (await jobs.get(store, made.job_id)).status
    before = await contents(store)
    for believed in (status, "succeeded"):
        (refused,) = await retention.remove(store, believed, [made.job_id])
        assert isinstance(refused, Conflict)
        assert refused.extra == {"jobStatus": status}
    assert await contents(store) == before


@pytest.mark.damages_the_store
async def test_what_is_only_listed_as_ended_stays(store: Store, builder: JobBuilder) -> None:
    """Q-15: of a damaged store, too, nothing is removed that runs."""
    made = await builder.running()
    await store.command("ZADD", keys.status("succeeded"), 1, made.job_id)
    before = await contents(store)
    (refused,) = await retention.remove(store, "succeeded", [made.job_id])
    assert isinstance(refused, Conflict)
    assert await contents(store) == before


async def test_what_was_redriven_meanwhile_stays(store: Store, builder: JobBuilder) -> None:
    """Q-15, whatever the caller saw before."""
    made = await builder.dead_letter()
    await store.run("redrive", [(made.job_id,)], actor="ann", reason="")
    (refused,) = await retention.remove(store, "dead_letter", [made.job_id])
    assert isinstance(refused, Conflict)
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_no_mark_is_left_of_a_condemned_job(store: Store, builder: JobBuilder) -> None:
    """Q-8, Q-15."""
    made = await builder.dead_letter()
    await dead_letters.condemn(store, [made.job_id])
    assert await retention.remove(store, "dead_letter", [made.job_id]) == [None]
    assert await store.command("EXISTS", keys.CONDEMNED) == 0


async def test_what_ended_later_than_asked_stays(store: Store, builder: JobBuilder) -> None:
    made = await builder.succeeded()
    ended = int(await store.command("ZSCORE", keys.status("succeeded"), made.job_id))
    before = await contents(store)
    for time, word in ((ended - 1, "STATE_CONFLICT succeeded"), (ended, "OK")):
        assert await contents(store) == before
        reply = await store.run("retention", [(made.job_id, "succeeded")], before_ms=time)
        assert reply == [[word]]


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    made = await builder.succeeded()
    await retention.remove(store, "succeeded", [made.job_id])
    before = await contents(store)
    for job_id in (made.job_id, str(uuid_utils.uuid7())):
        assert isinstance((await retention.remove(store, "succeeded", [job_id]))[0], NotFound)
    assert await contents(store) == before


async def test_what_is_due_is_the_oldest_first(store: Store, builder: JobBuilder) -> None:
    """Q-15: bounded in time and in number; dead letters only in number."""
    made = []
    for at in range(4):
        made.append((await builder.succeeded(type=f"t{at}")).job_id)
        await past(store, await now_ms(store))
    assert await retention.due(store, "succeeded", older_than_ms=60_000, keep=10) == []
    assert await retention.due(store, "succeeded", older_than_ms=60_000, keep=2) == made[:2]
    assert await retention.due(store, "succeeded", older_than_ms=0, keep=10) == made
    assert await retention.due(store, "succeeded", older_than_ms=0, keep=10, limit=3) == made[:3]
    assert await retention.due(store, "succeeded", older_than_ms=-1, keep=10) == []


async def test_nothing_is_left_of_a_job_with_a_full_life(store: Store, builder: JobBuilder) -> None:
    """Q-15: after retention the store holds no name of the job, but for what expires and what is capped."""
    made = await builder.running()
    await events.append(store, "worker-1", made.job_id, made.token, [NewEvent(message="hello")])
    await shelves.state_fact(store, "worker-1", made.job_id, made.token, "start_commit", "abc")
    await store.run("complete", [(made.job_id, made.token, "")], worker="worker-1")
    await retention.remove(store, "succeeded", [made.job_id])
    left = {name for name, value in (await contents(store)).items() if made.job_id in f"{name} {value}"}
    assert left <= {"events", "claim:worker-1"}
