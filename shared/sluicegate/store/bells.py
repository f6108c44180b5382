"""Waking idle claims: one blocking reader per process for all policies and waiters (70-64).

A ring is one token in a policy's list; it wakes one waiter, whose claim passes the baton if work is left.
Popping is destructive, so a pop is never cancelled: a new policy ends it with CLIENT UNBLOCK instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final

import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection

from sluicegate import keys
from sluicegate.errors import StoreError
from sluicegate.model import Policy
from sluicegate.store.connection import BLOCK_SECONDS, Store

MAX_UNHEARD: Final = 256
"""Policies whose last ring is kept for the next waiter; the store knows no more policies than that."""


class Bells:
    """Start one per process. `wait` says when to claim; nothing is lost when a ring is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, deque[asyncio.Future[bool]]] = {}
        self._unheard: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._client_id: int | None = None
        self._listening: frozenset[str] = frozenset()
        self._closing = False

    async def wait(self, policy: Policy, timeout_seconds: float) -> bool:
        """True when the policy's bell rang for this waiter; False after the time."""
        if policy.id in self._unheard:
            self._unheard.discard(policy.id)
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(policy.id, deque())
        queue.append(waiter)
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="bells")
        timer = asyncio.get_running_loop().call_later(timeout_seconds, _expire, waiter)
        try:
            if policy.id not in self._listening:
                self._changed.set()
                await self._unblock()
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self._ring(policy.id)
            raise
        finally:
            timer.cancel()
            with contextlib.suppress(ValueError):
                queue.remove(waiter)

    def pass_on(self, policy: Policy) -> None:
        """Give a ring to the next waiter: whoever got it will not claim after all."""
        self._ring(policy.id)

    def wake_all(self) -> None:
        """Let every waiter look now: after a resume, or at shutdown."""
        for queue in self._waiting.values():
            for waiter in queue:
                if not waiter.done():
                    waiter.set_result(True)

    async def close(self) -> None:
        """Let the running pop end by itself, at once if the store answers."""
        self._closing = True
        self.wake_all()
        self._changed.set()
        task, self._task = self._task, None
        if task is not None:
            await self._unblock()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BLOCK_SECONDS + 1):
                    await asyncio.shield(task)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _ring(self, policy_id: str) -> None:
        queue = self._waiting.get(policy_id, ())
        for waiter in queue:
            if not waiter.done():
                waiter.set_result(True)
                return
        # Nobody waits just now: its claim may be under way, and have looked before the job came.
        if len(self._unheard) >= MAX_UNHEARD:
            self._unheard.clear()
        self._unheard.add(policy_id)

    async def _unblock(self) -> None:
        if self._client_id is not None:
            with contextlib.suppress(StoreError):
                await self._store.command("CLIENT", "UNBLOCK", self._client_id)

    async def _listen(self) -> None:
        while not self._closing:
            with contextlib.suppress(StoreError, redis_errors.RedisError, OSError):
                async with self._store.blocking() as connection:
                    await connection.send_command("CLIENT", "ID")
                    self._client_id = await connection.read_response()
                    try:
                        await self._pop(connection)
                    finally:
                        self._client_id = None
                        self._listening = frozenset()
            if not self._closing:
                await asyncio.sleep(0.1)

    async def _pop(self, connection: AbstractConnection) -> None:
        while not self._closing:
            self._changed.clear()
            wanted = frozenset(policy for policy, queue in self._waiting.items() if queue)
            for policy in [policy for policy, queue in self._waiting.items() if not queue]:
                del self._waiting[policy]
            if not wanted:
                self._listening = frozenset()
                await self._changed.wait()
                continue
            self._listening = wanted
            await connection.send_command("BLPOP", *map(keys.bell, wanted), BLOCK_SECONDS)
            reply = await connection.read_response()
            if reply:
                self._ring(reply[0].removeprefix(keys.bell("")))


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
