"""MCP over stdin and stdout: until the client closes stdin, or SIGTERM."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, cast

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from sluicegate.service import until_signalled

CHUNK: Final = 65_536
STDIN: Final = 0


async def serve(server: Server[Any]) -> None:
    """Returns when the client has left or a signal came; calls under way are cancelled then."""
    async with until_signalled() as stop:
        serving = asyncio.create_task(_serve(server), name="mcp over stdio")
        stopped = asyncio.create_task(stop.wait(), name="stop of mcp")
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _serve(server: Server[Any]) -> None:
    # Stdout is diverted to stderr by the package meanwhile: what anything else prints cannot break the wire.
    try:
        async with stdio_server(stdin=cast(Any, lines(STDIN))) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    except* BrokenPipeError:
        pass  # the client is gone without closing stdin first


async def lines(descriptor: int) -> AsyncIterator[str]:
    """The lines that arrive at a descriptor, until it is closed; nothing waits for it once this is left.

    The package reads in a thread that cannot be cancelled, so that SIGTERM would wait for the next line.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        chunk = b"?"
        while chunk:
            try:
                chunk = os.read(descriptor, CHUNK)
            except OSError:
                chunk = b""
            with suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    rest = bytearray()
    while chunk := await chunks.get():
        head, *tail = chunk.split(b"\n")
        rest += head  # in place: a file in base64 is one long line, and comes in many chunks
        for line in tail:
            yield rest.decode(errors="replace")
            rest = bytearray(line)
    if rest:
        yield rest.decode(errors="replace")
