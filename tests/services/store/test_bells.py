"""Waking idle claims on a real store: a ring reaches somebody who waits, whoever has gone (70-64)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sluicegate import keys
from sluicegate.model import Policy
from sluicegate.store import Store
from sluicegate.store.bells import Bells
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

WORK = Policy(types=("work",))
OTHER = Policy(types=("other",))


@pytest.fixture
async def bells(store: Store) -> AsyncIterator[Bells]:
    waking = Bells(store)
    yield waking
    await waking.close()


@pytest.fixture
async def builder(store: Store) -> JobBuilder:
    """Both policies are known, and nothing waits for them."""
    make = JobBuilder(store)
    for policy in (WORK, OTHER):
        assert await make.claim(policy) == []
    return make


async def heard(bells: Bells, policy: Policy) -> asyncio.Task[bool]:
    """A waiter whose policy is being listened to."""
    waiting = asyncio.create_task(bells.wait(policy, 30))
    await until(lambda: policy.id in bells._listening, "the bell is listened to")
    return waiting


async def test_a_job_wakes_one_who_waits_for_its_type(bells: Bells, builder: JobBuilder) -> None:
    other, first, second = [await heard(bells, policy) for policy in (OTHER, WORK, WORK)]
    await builder.waiting()
    assert await asyncio.wait_for(first, 1)
    assert not second.done()
    assert not other.done()
    bells.wake_all()
    assert await second and await other


async def test_a_ring_that_the_store_still_holds_is_heard_later(bells: Bells, builder: JobBuilder) -> None:
    await builder.waiting()
    assert await asyncio.wait_for(bells.wait(WORK, 30), 1)


async def test_without_a_ring_the_time_runs_out(bells: Bells, builder: JobBuilder) -> None:
    assert not await bells.wait(WORK, 0.01)


async def test_a_waiter_that_leaves_hands_its_ring_on(bells: Bells, builder: JobBuilder) -> None:
    """Q-16: a long poll whose client went away in the very moment of the ring."""
    first, second = await heard(bells, WORK), await heard(bells, WORK)
    bells._ring(WORK.id)
    first.cancel()
    assert await asyncio.wait_for(second, 1)


async def test_a_waiter_that_leaves_while_it_joins_takes_no_ring(bells: Bells, builder: JobBuilder) -> None:
    """Cancelled while the reader was told of its policy, it stayed in the queue, and took a ring with it."""
    other = await heard(bells, OTHER)
    gone = asyncio.create_task(bells.wait(WORK, 30))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    waiting = await heard(bells, WORK)
    await builder.waiting()
    assert await asyncio.wait_for(waiting, 1)
    other.cancel()


async def test_closing_wakes_everyone(bells: Bells, store: Store, builder: JobBuilder) -> None:
    waiting = await heard(bells, WORK)
    await bells.close()
    assert await waiting
    assert await store.command("LLEN", keys.bell(WORK.id)) == 0
