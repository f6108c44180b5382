"""The store and all services as processes: running until asked to stop, and nothing left then (70-36).

Order of the start: the store, then every service at once. Order of the stop: the worker (its jobs end or go
back), the other services, the store. A service or store that ends by itself is restarted; one that cannot be
is `failure`, which ends the deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from sluicegate.dev.kept_store import KeptStore
from sluicegate.dev.service_process import Service, ServiceProcess
from sluicegate.errors import SluicegateError
from sluicegate.log import get

log = get("sluicegate.dev")

QUEUE_API: Final = Service(
    name="queue_api", module="services.queue_api", port_variable="SLUICEGATE_QUEUE_API_PORT"
)
CONTROL: Final = Service(name="control", module="services.control", port_variable="SLUICEGATE_CONTROL_PORT")
SWEEPER: Final = Service(
    name="sweeper",
    module="services.sweeper",
    port_variable="SLUICEGATE_METRICS_PORT",
    ready_path="/metrics",
)
WORKER: Final = Service(
    name="worker",
    module="services.worker",
    port_variable="SLUICEGATE_METRICS_PORT",
    ready_path="/metrics",
    first_to_stop=True,
)
HARD_STOP_SECONDS: Final = 5.0


class Supervisor:
    """Keeps a store (None: a server that is not ours) and services running."""

    def __init__(self, store: KeptStore | None, services: Sequence[ServiceProcess]) -> None:
        self.store = store
        self.services = {each.service.name: each for each in services}
        self._watches: list[asyncio.Task[None]] = []
        self._failure: SluicegateError | None = None
        self._failed = asyncio.Event()
        self._stop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once the store answers and every service's process is on its way; readiness is asked of
        the services themselves. Raises StoreUnavailable or ConfigurationError."""
        if self.store is not None:
            await self.store.start()
            self._watch("store", self.store.keep_running())
        for name, process in self.services.items():
            self._watch(name, process.keep_running())

    async def failure(self) -> SluicegateError:
        """Wait for what nobody can restart any more."""
        await self._failed.wait()
        return self._failure or SluicegateError("ended without a reason")

    async def stop(self) -> None:
        """End everything in order; return when it is gone. Before the start, twice, in mid-start: allowed."""
        if self._stop is None:
            self._stop = asyncio.create_task(self._stop_in_order(), name="stop")
        await asyncio.shield(self._stop)

    async def stop_now(self) -> None:
        """The second Ctrl-C: a last chance for the services to release their jobs, then SIGKILL."""
        ordinary = asyncio.create_task(self.stop(), name="ordinary stop")
        for process in self.services.values():
            process.hurry()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ordinary), HARD_STOP_SECONDS)
        for process in self.services.values():
            process.kill()
        if self.store is not None:
            self.store.hurry()
        await ordinary

    async def _stop_in_order(self) -> None:
        first = [each for each in self.services.values() if each.service.first_to_stop]
        others = [each for each in self.services.values() if not each.service.first_to_stop]
        await asyncio.gather(*(each.stop() for each in first))
        await asyncio.gather(*(each.stop() for each in others))
        if self.store is not None:
            await self.store.stop()
        await asyncio.gather(*self._watches)
        log.info("dev_stopped")

    def _watch(self, name: str, life: Coroutine[Any, Any, None]) -> None:
        self._watches.append(asyncio.create_task(self._guarded(name, life), name=f"watch {name}"))

    async def _guarded(self, name: str, life: Coroutine[Any, Any, None]) -> None:
        try:
            await life
        except SluicegateError as error:
            self._give_up(name, error)

    def _give_up(self, name: str, error: SluicegateError) -> None:
        log.error("dev_failed", name=name, detail=error.detail)
        self._failure = self._failure or error
        self._failed.set()
