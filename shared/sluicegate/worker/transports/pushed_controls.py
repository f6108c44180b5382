"""What is asked of a remote worker, as the server pushes it; heartbeats carry the same facts (C-10)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import msgspec

from sluicegate.client.http_connection import HttpConnection
from sluicegate.errors import SluicegateError
from sluicegate.log import log
from sluicegate.operations.answers import WorkerControl
from sluicegate.store.control_feed import Control
from sluicegate.times import from_rfc3339

FIRST_SECONDS: Final = 2.0
"""So long a worker waits at its start for the stream to be open; then it works without."""
PAUSE_SECONDS: Final = 1.0


class PushedControls:
    """Reads the server's stream for this worker until stopped, over any number of broken connections."""

    def __init__(self, connection: HttpConnection, path: str, deliver: Callable[[Control], None]) -> None:
        self._connection = connection
        self._path = path
        self._deliver = deliver
        self._open = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="pushed controls")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._open.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        told = False
        while True:
            try:
                async with aclosing(self._connection.stream(self._path, after=None)) as messages:
                    async for message in messages:
                        told = False
                        self._open.set()
                        if message.event == "worker.control":
                            self._deliver(_control(message.data))
            except (SluicegateError, msgspec.DecodeError) as error:
                if not told:  # once for an outage, not once a second
                    log.warning("worker.push.away", detail=str(error))
                    told = True
            await asyncio.sleep(PAUSE_SECONDS)


def _control(data: str) -> Control:
    pushed = msgspec.json.decode(data, type=WorkerControl)
    return Control(
        kind=pushed.kind,
        job_id=pushed.job_id,
        worker_id=None,
        token=int(pushed.lease_token) if pushed.lease_token else None,
        at_ms=from_rfc3339(pushed.requested_at) if pushed.requested_at else 0,
        system=pushed.system,
        live_control=pushed.live_control,
        pause=pushed.pause,
        pauses=pushed.pauses,
        live_version=pushed.live_session_version or 0,
    )
