"""The slow way to the store: whole, in order, late; held up and broken when asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from sluicegate.dev.embedded_store import free_port
from sluicegate.drill import slow_link
from sluicegate.drill.slow_link import SlowLink


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that sends back what it gets."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(4096):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_everything_passes_whole_in_order_and_late(echo: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_link, "DELAY_SECONDS", (0.02, 0.03))
    link = SlowLink(lambda: echo, random.Random(1))
    async with link.serving():
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent = random.Random(2).randbytes(500_000)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        assert loop.time() - began >= 0.04, "a delay in each direction"
        writer.write_eof()
        assert await reader.read() == b"", "the end passes too"
        writer.close()


async def test_nothing_passes_in_a_stall_and_all_of_it_afterwards(echo: int) -> None:
    link = SlowLink(lambda: echo, random.Random(1))
    async with link.serving():
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        async with link.stalled():
            writer.write(b"held up")
            heard = asyncio.create_task(reader.readexactly(7))
            await asyncio.sleep(0.3)
            assert not heard.done()
        assert await heard == b"held up"
        writer.close()


async def test_a_cut_breaks_every_connection_and_new_ones_work(echo: int) -> None:
    link = SlowLink(lambda: echo, random.Random(1))
    async with link.serving():
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        link.cut()
        assert await _broken(reader)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()


async def test_a_store_that_is_away_breaks_the_connection() -> None:
    link = SlowLink(free_port, random.Random(1))
    async with link.serving():
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        assert await _broken(reader)
        writer.close()


async def _broken(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True
