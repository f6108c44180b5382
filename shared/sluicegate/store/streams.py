"""Blocking reads of many streams by one task and one connection per process, as bytes.

Each stream is followed from a place of its own, through lost connections without a gap. A stream that is
added while the task waits ends its wait by CLIENT UNBLOCK: a read of streams that is ended loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection

from sluicegate.errors import StoreError
from sluicegate.log import log
from sluicegate.store.connection import BLOCK_SECONDS, Store
from sluicegate.store.positions import position

Entry = tuple[str, dict[bytes, bytes]]
Deliver = Callable[[list[Entry]], None]
BEGINNING: Final = "0-0"
PAUSE_SECONDS: Final = 0.2
AGAIN_SECONDS: Final = 0.005
AT_ONCE: Final = 200
"""Entries of one stream that one read takes."""


class Followed:
    """One stream that is followed. place: the id of the last entry that was delivered."""

    def __init__(self, key: str, place: str, deliver: Deliver) -> None:
        self.key, self.place, self.deliver = key, place, deliver


class Streams:
    """Start one per process: its task lives while anything is followed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followed: dict[str, list[Followed]] = {}
        self._changed = asyncio.Event()
        self._client_id: int | None = None
        self._reads = 0
        self._task: asyncio.Task[None] | None = None
        self._told = False

    @contextlib.asynccontextmanager
    async def follow(self, key: str, place: str, deliver: Deliver) -> AsyncIterator[Followed]:
        """Inside the block, deliver is called with what stands behind `place` and with all that comes.

        It is called in the loop and must not block.
        """
        followed = Followed(key, place, deliver)
        self._followed.setdefault(key, []).append(followed)
        try:
            await self._look_again()
            yield followed
        finally:
            self._followed[key].remove(followed)
            if not self._followed[key]:
                del self._followed[key]

    async def close(self) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # once may not be enough: see Feed.stop
            await asyncio.wait([task], timeout=0.1)

    async def _look_again(self) -> None:
        """Have the task read with what is followed now."""
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="streams")
        read = self._reads
        with contextlib.suppress(StoreError):
            # It may be about to block, and would then not hear the first one.
            while self._reads == read and self._client_id is not None:
                await self._store.command("CLIENT", "UNBLOCK", self._client_id)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self) -> None:
        while True:
            try:
                async with self._store.blocking() as connection:
                    await connection.send_command("CLIENT", "ID")
                    self._client_id = await connection.read_response()
                    while True:
                        await self._read(connection)
                        self._told = False
            except (StoreError, redis_errors.RedisError, OSError) as error:
                if not self._told:  # once for an outage, not five times a second
                    log.warning("streams.away", detail=str(error))
                    self._told = True
            finally:
                self._client_id = None
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, connection: AbstractConnection) -> None:
        self._changed.clear()
        self._reads += 1
        if not self._followed:
            await self._changed.wait()
            return
        places = {
            key: min((each.place for each in them), key=position) for key, them in self._followed.items()
        }
        block_ms = int(BLOCK_SECONDS * 1000)
        await connection.send_command(
            "XREAD", "COUNT", AT_ONCE, "BLOCK", block_ms, "STREAMS", *places, *places.values()
        )
        for name, entries in await connection.read_response(disable_decoding=True) or ():
            self._deliver(name.decode(), [(entry.decode(), _pairs(flat)) for entry, flat in entries])

    def _deliver(self, key: str, entries: list[Entry]) -> None:
        for followed in list(self._followed.get(key, ())):
            place = position(followed.place)
            fresh = [entry for entry in entries if position(entry[0]) > place]
            if fresh:
                followed.place = fresh[-1][0]
                followed.deliver(fresh)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
