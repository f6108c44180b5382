"""`python -m services.sweeper`: time's hand, as a handful of loops, until SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from services.sweeper.departed_workers import DepartedWorkers
from services.sweeper.due_jobs import DueJobs
from services.sweeper.ended_pauses import EndedPauses
from services.sweeper.expired_leases import ExpiredLeases
from services.sweeper.live_sessions import LiveSessions
from services.sweeper.pause_record import PauseRecord
from services.sweeper.reconciliation import Reconciliation
from services.sweeper.retention import Retention
from sluicegate import service
from sluicegate.log import log
from sluicegate.loop import Loop
from sluicegate.metrics import SweeperMetrics
from sluicegate.settings import SweeperSettings
from sluicegate.store import Store, limits

PRESENCE_SECONDS: Final = 15.0
RECONCILIATION_SECONDS: Final = 60.0


def loops(store: Store, settings: SweeperSettings) -> list[Loop]:
    """Every loop of the sweeper, not yet started."""
    interval = settings.sweeper_interval_ms / 1000
    return [
        DueJobs(store, interval),
        ExpiredLeases(store, interval),
        PauseRecord(store, interval),
        EndedPauses(store, interval),
        LiveSessions(store, interval),
        DepartedWorkers(store, PRESENCE_SECONDS),
        Reconciliation(store, RECONCILIATION_SECONDS),
        Retention(store, settings),
    ]


async def serve(settings: SweeperSettings) -> None:
    registry = CollectorRegistry()
    metrics = SweeperMetrics(registry)
    metrics.dead_letters_limit.set(settings.retention_max_dead_letters)
    store = await Store.open(settings)
    running = loops(store, settings)
    for loop in running:
        metrics.lag_seconds.labels(loop.name).set_function(partial(getattr, loop, "lag_seconds"))
    try:
        await limits.declare(store, by="sweeper")
        with service.metrics_page(settings, registry):
            async with service.until_signalled() as stop:
                for loop in running:
                    loop.start()
                log.info("sweeper.started", loops=[loop.name for loop in running])
                await stop.wait()
            await asyncio.gather(*(loop.stop() for loop in running))
    finally:
        await store.close()
    log.info("sweeper.stopped")


def main() -> int:
    return service.run("sweeper", SweeperSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
