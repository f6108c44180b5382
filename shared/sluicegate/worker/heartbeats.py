"""Heartbeats: a thread with its own loop and connection, so that a busy handler never costs a lease."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sluicegate.errors import Forbidden, RequestError, SluicegateError, Unauthenticated
from sluicegate.log import log
from sluicegate.metrics import WorkerMetrics
from sluicegate.model import Pauses, SystemState
from sluicegate.store.claims import Lease, Wishes
from sluicegate.store.workers import LIVE_SECONDS, Presence
from sluicegate.worker.transports import Transport

GATHER_SECONDS: Final = 0.1
"""What changes within this time is told together: a hundred jobs come to their checkpoints one by one."""

Beat = tuple[Lease, Wishes | RequestError]


class Heartbeats:
    """Renews all leases of the worker in one call, and its presence; what it learns goes to `deliver`.

    leases and presence are called in the thread, and must not touch the loop; the others are called in the
    loop. dismissed: this worker's credential is not accepted.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        interval_seconds: float,
        leases: Callable[[], list[Lease]],
        presence: Callable[[], Presence],
        deliver: Callable[[Sequence[Beat], SystemState], None],
        deliver_pauses: Callable[[Pauses], None] = lambda _: None,
        dismissed: Callable[[SluicegateError], None],
        metrics: WorkerMetrics,
    ) -> None:
        self._transport = transport
        self._interval = interval_seconds
        self._leases = leases
        self._presence = presence
        self._deliver = deliver
        self._deliver_pauses = deliver_pauses
        self._dismissed = dismissed
        self._metrics = metrics
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main, name="heartbeats", daemon=True)
        self._wake: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._thread.start()

    def tell(self) -> None:
        """What the presence says may have changed: say it soon. Nothing before start."""
        self._wake()

    async def stop(self) -> None:
        """End the thread; returns when it has ended. May come before start."""
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._wake = lambda: _quietly(loop, woken.set)
        opened = False
        announced = 0.0
        told: tuple[str, list[str], list[str]] | None = None
        planned = time.monotonic()
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                if not opened:
                    await self._transport.open()
                    opened = True
                await self._beat()
                here = self._presence()
                state = (here.state, here.paused_jobs, here.silent_jobs)
                if state != told or time.monotonic() - announced >= LIVE_SECONDS / 3:
                    await self._transport.announce(here)
                    announced, told = time.monotonic(), state
                wait = min(self._interval, LIVE_SECONDS / 3)
            except SluicegateError as error:
                log.warning("worker.heartbeat.failed", code=error.code, detail=error.detail)
                if isinstance(error, Unauthenticated | Forbidden):
                    _quietly(self._loop, partial(self._dismissed, error))
                wait = min(1.0, self._interval)
            except Exception as error:  # noqa: BLE001 - without its heartbeats a worker loses every job
                log.error("worker.heartbeat.raised", error=error)
                wait = min(1.0, self._interval)
            now = time.monotonic()
            self._metrics.heartbeat_lateness_seconds.observe(max(0.0, now - planned))
            planned = max(now, began + wait)  # from beat to beat, however long one takes
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(planned - now):
                    await woken.wait()
                    if not self._stopping.is_set():
                        await asyncio.sleep(GATHER_SECONDS)
            woken.clear()
        if opened:
            await self._transport.close()

    async def _beat(self) -> None:
        leases = self._leases()
        if not leases:
            return
        renewal = await self._transport.renew(leases)
        beats = list(zip(leases, renewal.items, strict=True))
        _quietly(self._loop, lambda: self._deliver(beats, renewal.system))
        if renewal.pauses is not None:
            _quietly(self._loop, partial(self._deliver_pauses, renewal.pauses))


def _quietly(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Hand a call to a loop that may have ended meanwhile."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        return
