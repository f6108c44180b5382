"""Blocking reads of a stream by one task per process, which survives lost connections without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection

from sluicegate.errors import StoreError
from sluicegate.log import log
from sluicegate.store.connection import BLOCK_SECONDS, Store

Entry = tuple[str, dict[str, str]]
PAUSE_SECONDS: Final = 0.2


class Feed:
    """Calls `deliver` with the entries of one stream as they come, from the moment of `start` on."""

    def __init__(self, store: Store, key: str, deliver: Callable[[list[Entry]], None]) -> None:
        self._store = store
        self._key = key
        self._deliver = deliver
        self._task: asyncio.Task[None] | None = None
        self._last = ""
        self._told = False
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Everything appended after this returns is delivered. Starting twice is one start."""
        async with self._starting:  # two first subscribers at once would start two readers, and lose one
            if self._task is None:
                newest = await self._store.command("XREVRANGE", self._key, "+", "-", "COUNT", 1)
                self._last = newest[0][0] if newest else "0-0"
                self._task = asyncio.create_task(self._follow(), name=f"feed {self._key}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():
            # Once may not be enough: Python 3.11's wait_for, in redis-py's writes, drops a cancellation that
            # comes in the moment in which the write is done.
            task.cancel()
            await asyncio.wait([task], timeout=0.1)

    async def _follow(self) -> None:
        while True:
            try:
                async with self._store.blocking() as connection:
                    while True:
                        await self._read(connection)
                        self._told = False
            except (StoreError, redis_errors.RedisError, OSError) as error:
                if not self._told:  # once for an outage, not five times a second
                    log.warning("feed.away", key=self._key, detail=str(error))
                    self._told = True
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, connection: AbstractConnection) -> None:
        await connection.send_command(
            "XREAD", "COUNT", 1000, "BLOCK", int(BLOCK_SECONDS * 1000), "STREAMS", self._key, self._last
        )
        if reply := await connection.read_response():
            entries = [
                (entry_id, dict(zip(flat[::2], flat[1::2], strict=True))) for entry_id, flat in reply[0][1]
            ]
            self._last = entries[-1][0]
            self._deliver(entries)
