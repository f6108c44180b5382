"""Looks at the queue for the overview: what is wrong, and how it flows; kept for all pages for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from services.control.dashboard.board import Board, look
from sluicegate.operations import troubles
from sluicegate.operations.troubles import Sight, Trouble
from sluicegate.settings import ControlSettings
from sluicegate.store import flow as flow_records
from sluicegate.store import server_health
from sluicegate.store import signs as sign_records
from sluicegate.store.connection import Store
from sluicegate.store.flow import Flow
from sluicegate.store.server_health import ServerHealth
from sluicegate.store.standing import live_workers

SIGNS_SECONDS: Final = 1.0
FLOW_SECONDS: Final = 5.0
SERVER_SECONDS: Final = 10.0
T = TypeVar("T")


class Kept(Generic[T]):
    """What one read has found, for a while. Who comes while it is read waits for it, and reads nothing."""

    def __init__(self, seconds: float, read: Callable[[], Awaitable[T]]) -> None:
        self._seconds, self._read = seconds, read
        self._until = 0.0
        self._found: list[T] = []
        self._reading = asyncio.Lock()

    async def get(self) -> T:
        async with self._reading:
            loop = asyncio.get_running_loop()
            if not self._found or loop.time() >= self._until:
                self._found = [await self._read()]
                self._until = loop.time() + self._seconds
            return self._found[0]


class Lookout:
    """One per process. What it asks of the store grows neither with the jobs stored nor with the pages."""

    def __init__(self, settings: ControlSettings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._flow: Kept[Flow] = Kept(FLOW_SECONDS, lambda: flow_records.read(store))
        self._server: Kept[ServerHealth | None] = Kept(SERVER_SECONDS, lambda: server_health.read(store))
        self._signs = Kept(
            SIGNS_SECONDS,
            lambda: sign_records.read(
                store, old_seconds=min(settings.warn_unclaimable_seconds, settings.warn_waiting_seconds)
            ),
        )

    async def board(self, *, whole: bool = True, with_drain: bool = False) -> Board:
        """whole: with what only the overview shows. Raises StoreError."""
        board = await look(self._store, with_drain=with_drain)
        if whole:
            board.flow = await self._flow.get()
            board.runs = await sign_records.runs(
                self._store, [id for each in board.workers for id in each.jobs]
            )
            board.troubles = await self._troubles(board, board.flow)
        return board

    async def _troubles(self, board: Board, flow: Flow) -> list[Trouble]:
        signs = await self._signs.get()
        resting = [job_id for worker in board.workers for job_id in worker.paused_jobs]
        sight = Sight(
            signs=signs,
            server=await self._server.get(),
            system=board.system,
            pauses=board.pauses,
            counts=board.counts,
            workers=board.workers,
            live=await live_workers(self._store) if signs.waiting else [],
            held=await sign_records.held(self._store, resting),
            runs=board.runs,
            died=flow.hour.total("dead"),
        )
        return troubles.of(sight, self._settings)
