"""A slow way to the store: a TCP proxy on loopback that delays what passes, and sometimes lets nothing pass.

Truer than CLIENT PAUSE, which holds back all commands at the server at once: here each connection has delays
of its own in both directions, a command may be carried out whose sender has given up, and an answer may come
to nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from sluicegate.dev.embedded_store import LOOPBACK

DELAY_SECONDS: Final = (0.001, 0.01)
SPIKE_SECONDS: Final = 0.15
SPIKES: Final = 0.01
"""So much of what passes is held up for a spike."""
CHUNK_BYTES: Final = 64 * 1024
CHUNKS_ON_THE_WAY: Final = 64
"""Of one direction of a connection; behind them nothing more is read, so the sender has to wait."""


class SlowLink:
    """port_of_store: asked at each connection."""

    def __init__(self, port_of_store: Callable[[], int], dice: random.Random) -> None:
        self.port = 0
        self._port_of_store = port_of_store
        self._dice = dice
        self._passable = asyncio.Event()
        self._passable.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.cut()

    @contextlib.asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Nothing passes inside the block; what has come meanwhile passes then."""
        self._passable.clear()
        try:
            yield
        finally:
            self._passable.set()

    def cut(self) -> None:
        """Break every connection; what is on the way is lost."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # a store that is away, or a connection that broke
            store_reader, store_writer = await asyncio.open_connection(LOOPBACK, self._port_of_store())
            self._writers |= {writer, store_writer}
            try:
                await _first_of(self._pass(reader, store_writer), self._pass(store_reader, writer))
            finally:
                self._writers -= {writer, store_writer}
                store_writer.transport.abort()
        writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its end. Each chunk has a delay of its own, and none overtakes another."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_ON_THE_WAY)
        await _first_of(self._receive(reader, chunks), self._send(chunks, writer))

    async def _receive(
        self, reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        chunk = b"-"
        while chunk:  # the empty one is the end, and goes through too
            chunk = await reader.read(CHUNK_BYTES)
            spike = self._dice.random() < SPIKES
            delay = SPIKE_SECONDS if spike else self._dice.uniform(*DELAY_SECONDS)
            await chunks.put((loop.time() + delay, chunk))
        await asyncio.Event().wait()

    async def _send(self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._passable.wait()
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends; the others end with it. Raises what that one raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
