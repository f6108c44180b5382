"""The check finds each kind of damage, finds nothing where there is none, and changes nothing."""

from __future__ import annotations

import asyncio

import pytest

from sluicegate import keys
from sluicegate.store import endings, invariants
from sluicegate.store.connection import Store
from tests.support import store_server
from tests.support.contents import contents
from tests.support.damages import NAMES, damages, scene
from tests.support.job_builder import JobBuilder


@pytest.fixture(params=[pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def store_kind(request: pytest.FixtureRequest) -> str:
    """A real server: the fake one takes seconds for so many reads. The same on Valkey: services/doctor."""
    return str(request.param)


async def test_a_sound_store_has_no_differences(store: Store, builder: JobBuilder) -> None:
    """DESIGN 7: a job in each state, and nothing contradicts itself."""
    await scene(store, builder)
    before = await contents(store)
    assert await invariants.check(store) == []
    assert await contents(store) == before


@pytest.mark.damages_the_store
@pytest.mark.parametrize("name", NAMES)
async def test_a_difference_is_found(store: Store, builder: JobBuilder, name: str) -> None:
    """60-3: each fault has its code, and looking writes nothing."""
    commands, code = damages(await scene(store, builder))[name]
    await store.commands(*commands)
    before = await contents(store)
    found = (await invariants.survey(store)).faults
    assert code in {finding.code for finding in found}, [finding.sentence for finding in found]
    assert await contents(store) == before
    store_server.flush(store.settings.redis_url)


@pytest.mark.damages_the_store
@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([("SET", f"{keys.Q}backup", "x")], "unknown_key"),
        ([("SET", keys.LEASES, "x")], "wrong_type"),
    ],
)
async def test_what_a_person_has_to_look_at(
    store: Store, builder: JobBuilder, commands: list[tuple[str]], code: str
) -> None:
    """Nobody knows what a key is for that the queue did not write."""
    await store.commands(*commands)
    (found,) = (await invariants.survey(store)).faults
    assert (found.code, found.kind.by) == (code, "")
    await store.command("DEL", found.it)


async def test_a_store_at_work_has_no_differences(store: Store, builder: JobBuilder) -> None:
    """What is only under way while the check reads is no fault."""
    done = asyncio.Event()

    async def work(worker: str) -> None:
        while not done.is_set():
            await builder.enqueued(*(builder.submission(payload={"w": worker}) for _ in range(3)))
            for job in await builder.claim(worker=worker, limit=3):
                await endings.finish_one(store, worker, endings.Complete(job.id, int(job.lease_token or 0)))

    workers = [asyncio.create_task(work(f"w{at}")) for at in range(3)]
    try:
        found = [await invariants.check(store) for _ in range(5)]
    finally:
        done.set()
        await asyncio.gather(*workers)
    assert found == [[]] * 5
    assert await invariants.check(store) == []
