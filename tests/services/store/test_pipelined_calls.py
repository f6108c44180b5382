"""A batch of several pipelined calls, two in flight at a time: in order, once each, whatever breaks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import msgspec
import pytest

from sluicegate import keys
from sluicegate.errors import Busy, OutcomeUnknown
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs
from tests.services.client.breakage import Breakage
from tests.services.store.shaky import behind
from tests.support import store_server
from tests.support.job_builder import JobBuilder
from tests.transitions.test_enqueue import LANE, told


@pytest.fixture
def builder(store: Store) -> JobBuilder:
    return JobBuilder(store)


async def waiting(store: Store) -> list[str]:
    """The jobs of the one lane, the next one first."""
    entries = await store.command("XRANGE", keys.lane(LANE, "+w"), "-", "+")
    return [fields[1] for _, fields in entries]


@pytest.mark.parametrize("number", [100, 101, 200, 201, 1000, 1001, 1100, 2001])
async def test_each_has_its_answer_and_its_place(store: Store, builder: JobBuilder, number: int) -> None:
    """Q-13: at and beside each number at which one call, and those that go together, are full."""
    submissions = [builder.submission() for _ in range(number)]
    assert told(await jobs.enqueue(store, submissions)) == [(each.id, False) for each in submissions]
    assert await waiting(store) == [each.id for each in submissions]


async def test_what_breaks_is_sent_again_in_order(
    store: Store, settings: Settings, builder: JobBuilder
) -> None:
    """Q-13: connections break before, within and after the replies to both calls that are under way."""
    chance = random.Random(11)
    breakage = Breakage(
        settings.redis_url, lambda _: chance.choice((0, chance.randrange(20_000), chance.randrange(20_000)))
    )
    expected: list[str] = []
    async with behind(breakage, settings) as shaky:
        while breakage.broken < 20:
            submissions = [builder.submission() for _ in range(chance.randrange(101, 500))]
            expected += [each.id for each in submissions]
            answered = False
            while not answered:
                try:
                    results = await jobs.enqueue(shaky, submissions)
                except OutcomeUnknown:
                    continue
                answered = True
                assert [job_id for job_id, _ in told(results)] == [each.id for each in submissions]
    assert await waiting(store) == expected


async def test_scripts_that_are_forgotten_meanwhile_are_brought_again(
    store: Store, settings: Settings, builder: JobBuilder
) -> None:
    """Q-13: as after a SCRIPT FLUSH by somebody else: nobody notices, and the order stays."""
    server, forgotten = store_server.client(settings.redis_url), 0

    def drawn() -> Iterator[jobs.Submission]:
        nonlocal forgotten
        for at, each in enumerate(submissions):
            if at % 250 == 249:
                server.script_flush()
                forgotten += 1
            yield each

    submissions = [builder.submission() for _ in range(1200)]
    results = await jobs.enqueue(store, drawn())
    assert forgotten == 4
    assert [job_id for job_id, _ in told(results)] == [each.id for each in submissions]
    assert await waiting(store) == [each.id for each in submissions]


async def test_after_a_refusal_others_get_their_own_answers(
    store: Store, settings: Settings, builder: JobBuilder
) -> None:
    """Q-17: one call is refused while another is behind it. Whose answer that is, nobody else may read."""
    server = store_server.client(settings.redis_url)

    def drawn() -> Iterator[jobs.Submission]:
        for at in range(700):
            if at == 450:
                server.config_set("maxmemory", 1)
            yield builder.submission()

    try:
        with pytest.raises(Busy) as refused:
            await jobs.enqueue(store, drawn())
    finally:
        server.config_set("maxmemory", 0)
    assert refused.value.code == "queue_full"
    assert len(await waiting(store)) >= 200
    await answers_are_their_own(store, builder)


async def test_after_a_fault_of_the_caller_others_get_their_own_answers(
    store: Store, builder: JobBuilder
) -> None:
    def drawn() -> Iterator[jobs.Submission]:
        yield from (builder.submission() for _ in range(350))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await jobs.enqueue(store, drawn())
    await answers_are_their_own(store, builder)


async def test_a_caller_that_is_cancelled_leaves_no_answer_to_others(
    store: Store, builder: JobBuilder
) -> None:
    for moment in range(1, 30, 3):
        async with asyncio.TaskGroup() as calls:
            calling = calls.create_task(jobs.enqueue(store, [builder.submission() for _ in range(900)]))
            for _ in range(moment):
                await asyncio.sleep(0)
            calling.cancel()
        assert calling.cancelled()
        await answers_are_their_own(store, builder)


async def test_the_time_it_takes_to_make_the_jobs_is_not_the_stores(
    store: Store, settings: Settings, builder: JobBuilder
) -> None:
    """What a batch takes to be checked is no sign that the store, which answers at once, is away."""
    impatient = Store(msgspec.structs.replace(settings, redis_timeout_ms=500), store._connect)

    def drawn() -> Iterator[jobs.Submission]:
        for at in range(1000):
            if at % 100 == 50:
                time.sleep(0.2)
            yield builder.submission()

    try:
        assert len(told(await jobs.enqueue(impatient, drawn()))) == 1000
    finally:
        await impatient.close()
    assert len(await waiting(store)) == 1000


async def test_a_store_that_stands_still_is_given_up(
    store: Store, settings: Settings, builder: JobBuilder
) -> None:
    """Each of the calls gets the time of one, the first as the last."""
    server = store_server.client(settings.redis_url)
    impatient = Store(msgspec.structs.replace(settings, redis_timeout_ms=300), store._connect)

    def drawn(stands_still_at: int) -> Iterator[jobs.Submission]:
        for at in range(700):
            if at == stands_still_at:
                server.client_pause(60_000, all=False)
            yield builder.submission()

    try:
        for at in (20, 620):
            with pytest.raises(OutcomeUnknown):
                await asyncio.wait_for(jobs.enqueue(impatient, drawn(at)), 20)
            server.client_unpause()
    finally:
        server.client_unpause()
        await impatient.close()
    await answers_are_their_own(store, builder)


async def test_a_store_that_never_answers_is_given_up(
    store: Store, settings: Settings, builder: JobBuilder
) -> None:
    """Sending again is no progress: the time goes on from the last answer."""
    breakage = Breakage(settings.redis_url, lambda number: 0 if number else None)
    async with behind(breakage, settings, redis_timeout_ms=1_200) as shaky:
        await shaky.memory.refusal()  # the one answer that it gets
        breakage.break_all()
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(jobs.enqueue(shaky, [builder.submission() for _ in range(500)]), 20)
    assert breakage.broken >= 3


async def answers_are_their_own(store: Store, builder: JobBuilder) -> None:
    for _ in range(3):
        alone = builder.submission()
        assert told(await jobs.enqueue(store, [alone])) == [(alone.id, False)]
        assert (await jobs.get(store, alone.id)).id == alone.id
