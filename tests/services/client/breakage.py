"""A stretch of network between client and server that breaks where a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


def lives(number: int) -> int | None:
    """For lines that break only when told."""
    return None


class Breakage:
    """Passes bytes on; `cut` says after how many bytes of answers each further connection breaks.

    None lets a connection live. Breaking is a reset, as of a killed process, in mid-answer or before it.
    """

    def __init__(self, target: str, cut: Callable[[int], int | None] = lives) -> None:
        self._target = urlsplit(target)
        self._cut = cut
        self._down = False
        self._live: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.broken = 0
        self.answered = b""

    def go_down(self) -> None:
        """Break all connections, and each that is opened from now on."""
        self._down = True
        self.break_all()

    def break_all(self) -> None:
        """Break all connections; the next ones live or break as `cut` says."""
        for writer in self._live:
            writer.transport.abort()

    def come_up(self) -> None:
        self._down = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The address to use instead of the server's."""
        tasks: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._pass(reader, writer), name="breakage")
            tasks.add(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room = 0 if self._down else self._cut(self.connections)
        self.connections += 1
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._live.add(writer)
        up = asyncio.create_task(_copy(reader, back), name="breakage up")
        try:
            await self._answer(there, writer, room)
        except OSError:
            pass
        finally:
            self._live.discard(writer)
            if room is not None:
                self.broken += 1
            writer.transport.abort()
            back.close()
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)

    async def _answer(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, room: int | None
    ) -> None:
        """Pass the answers on, up to `room` bytes; 0: the request arrives and its answer is lost."""
        while chunk := await source.read(65536):
            if room is not None:
                chunk, room = chunk[:room], room - len(chunk)
            self.answered += chunk
            sink.write(chunk)
            await sink.drain()
            if room is not None and room <= 0:
                return


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65536):
        sink.write(chunk)
        await sink.drain()
    sink.close()
