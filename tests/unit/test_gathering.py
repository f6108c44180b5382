"""Concurrent calls leave together and get their own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sluicegate.errors import StoreUnavailable
from sluicegate.gathering import Gathering


class Doubling:
    """Answers at once, or when it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.go.wait()
        if -1 in items:
            raise StoreUnavailable("gone")
        return [2 * item for item in items]


async def test_what_comes_together_leaves_together() -> None:
    double = Doubling()
    gathering = Gathering(double)
    assert await asyncio.gather(*(gathering.one(n) for n in range(10))) == [2 * n for n in range(10)]
    assert double.batches == [list(range(10))]
    assert await gathering.one(7) == 14


async def test_what_comes_meanwhile_leaves_next_in_parts_that_are_not_too_large() -> None:
    double = Doubling(held=True)
    gathering = Gathering(double, largest=3)
    first = asyncio.create_task(gathering.one(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert double.batches == [[1]]
    rest = [asyncio.create_task(gathering.one(n)) for n in range(2, 7)]
    await asyncio.sleep(0)
    double.go.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8, 10, 12]
    assert double.batches == [[1], [2, 3, 4], [5, 6]]


async def test_an_error_reaches_everyone_of_its_call_and_nobody_else() -> None:
    gathering = Gathering(Doubling(), largest=2)
    results = await asyncio.gather(*(gathering.one(n) for n in (1, -1, 3)), return_exceptions=True)
    assert [type(each) for each in results] == [StoreUnavailable, StoreUnavailable, int]
    assert await gathering.one(4) == 8


async def test_who_leaves_takes_nothing_back() -> None:
    double = Doubling(held=True)
    gathering = Gathering(double)
    leaving, staying = asyncio.create_task(gathering.one(1)), asyncio.create_task(gathering.one(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    double.go.set()
    assert await staying == 4
    assert double.batches == [[1, 2]]


async def test_close_waits_for_what_is_under_way() -> None:
    double = Doubling(held=True)
    gathering = Gathering(double)
    call = asyncio.create_task(gathering.one(1))
    await asyncio.sleep(0)
    closing = asyncio.create_task(gathering.close())
    await asyncio.sleep(0)
    assert not closing.done()
    double.go.set()
    await closing
    assert await call == 2
