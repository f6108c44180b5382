"""Many streams by one connection: whatever is followed is heard at once, through lost connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from sluicegate import keys
from sluicegate.store import Store
from sluicegate.store.streams import BEGINNING, Entry, Streams
from tests.support.wait import until

KEYS = [keys.job_typed(f"job-{number}") for number in range(5)]


@pytest.fixture
async def streams(store: Store) -> AsyncIterator[Streams]:
    made = Streams(store)
    yield made
    await made.close()


async def add(store: Store, key: str, text: str) -> None:
    await store.commands(("XADD", key, "*", "d", text), ("PEXPIRE", key, 60_000))


async def test_a_stream_that_joins_is_heard_at_once(store: Store, streams: Streams) -> None:
    """Though the reader waits already; the first one's wait is ended, not waited for."""
    heard: dict[str, list[Entry]] = {key: [] for key in KEYS}
    async with AsyncExitStack() as stack:
        for key in KEYS:
            await stack.enter_async_context(streams.follow(key, BEGINNING, heard[key].extend))
            began = time.monotonic()
            await add(store, key, "x")
            await until(lambda: heard[key], "it is heard")  # noqa: B023
            assert time.monotonic() - began < 1.0
        clients = await store.command("CLIENT", "LIST")
        assert str(clients).count("cmd=xread") == 1
    assert [[fields[b"d"] for _, fields in each] for each in heard.values()] == [[b"x"]] * len(KEYS)


async def test_two_who_follow_one_stream_each_hear_it_once(store: Store, streams: Streams) -> None:
    first: list[Entry] = []
    second: list[Entry] = []
    await add(store, KEYS[0], "before")
    async with streams.follow(KEYS[0], BEGINNING, first.extend):
        await until(lambda: first, "the first has it")
        async with streams.follow(KEYS[0], BEGINNING, second.extend):
            await until(lambda: second, "the second has it")
            await add(store, KEYS[0], "after")
            await until(lambda: len(first) == len(second) == 2, "both have what comes")
            await asyncio.sleep(0)
    assert first == second


async def test_a_lost_connection_loses_nothing(store: Store, streams: Streams) -> None:
    heard: list[Entry] = []
    async with streams.follow(KEYS[0], BEGINNING, heard.extend):
        for number in range(3):
            await add(store, KEYS[0], str(number))
            await until(lambda: len(heard) == number + 1, "it is heard")  # noqa: B023
            await store.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert [fields[b"d"] for _, fields in heard] == [b"0", b"1", b"2"]
