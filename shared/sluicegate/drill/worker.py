"""The drill's worker: `python -m sluicegate.drill.worker`. It notes what it runs and what it is told.

An ordinary worker, but for one thing: when it learns that a lease is lost it tries to complete the job all
the same, as a faulty one might. That must be refused.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from sluicegate import service
from sluicegate.drill.evidence import LIFE, Notes, Returned, Started, Told, life_of, now
from sluicegate.errors import RequestError
from sluicegate.settings import WorkerSettings
from sluicegate.store.claims import Lease, Renewal
from sluicegate.store.endings import Complete, Ending
from sluicegate.worker import Handler, JobContext, JobFailed, Worker
from sluicegate.worker.transports.http import HttpTransport
from sluicegate.worker.transports.redis import RedisTransport

EVIDENCE: Final = "DRILL_EVIDENCE"
"""The variable with the folder for the notes."""
TREE: Final = "sleep {seconds} & (sleep {seconds} &) ; sleep {seconds}; wait"
"""A shell, its child, and one that left it."""


Settle = Callable[[Sequence[Ending]], Awaitable[list[RequestError | None]]]


class Witness:
    """Notes the answers to completions. A transport makes its own siblings, so the notes are the class's."""

    notes: ClassVar[Notes]

    async def _witnessed(self, settle: Settle, endings: Sequence[Ending]) -> list[RequestError | None]:
        return self._noted(endings, await settle(endings), late=False)

    async def _too_late(self, settle: Settle, leases: Sequence[Lease], renewal: Renewal) -> Renewal:
        """Complete what is lost all the same."""
        lost = [
            Complete(lease.job_id, lease.token, "too late")
            for lease, answer in zip(leases, renewal.items, strict=True)
            if isinstance(answer, RequestError)
        ]
        if lost:
            self._noted(lost, await settle(lost), late=True)
        return renewal

    def _noted(
        self, endings: Sequence[Ending], outcomes: list[RequestError | None], *, late: bool
    ) -> list[RequestError | None]:
        for ending, outcome in zip(endings, outcomes, strict=True):
            if isinstance(ending, Complete):
                self.notes.write(Told(ending.job_id, ending.token, outcome is None, late, now()))
        return outcomes


class WitnessOfRedis(Witness, RedisTransport):
    """Beside the store."""

    async def settle(self, ended: Sequence[Ending]) -> list[RequestError | None]:
        return await self._witnessed(super().settle, ended)

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        return await self._too_late(super().settle, leases, await super().renew(leases))


class WitnessOfHttp(Witness, HttpTransport):
    """Through the API."""

    async def settle(self, endings: Sequence[Ending]) -> list[RequestError | None]:
        return await self._witnessed(super().settle, endings)

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        return await self._too_late(super().settle, leases, await super().renew(leases))


async def brief(ctx: JobContext) -> str:
    await asyncio.sleep(ctx.job.payload["seconds"])
    return "done"


async def command(ctx: JobContext) -> str:
    """Real processes, which must end with their worker."""
    await ctx.run(["sh", "-c", TREE.format(seconds=ctx.job.payload["seconds"])], pty=False)
    return "done"


async def flaky(ctx: JobContext) -> str:
    """Fails at first."""
    if ctx.job.attempt == 1:
        raise JobFailed("the first attempt fails")
    return "done"


async def hopeless(ctx: JobContext) -> str:
    raise JobFailed("every attempt fails")


HANDLERS: Final[dict[str, Handler]] = {
    "drill.brief": brief,
    "drill.command": command,
    "drill.flaky": flaky,
    "drill.hopeless": hopeless,
}


def witnessed(handle: Handler, notes: Notes, life: str) -> Handler:
    async def run(ctx: JobContext) -> str | None:
        job = ctx.job
        notes.write(Started(job.id, ctx.lease_token, job.attempt, life, now()))
        done = False
        try:
            result = await handle(ctx)
            done = True
            return result
        finally:
            notes.write(Returned(job.id, ctx.lease_token, done, now()))

    return run


async def serve(settings: WorkerSettings) -> None:
    life = life_of(settings.identity, os.getpid())
    os.environ[LIFE] = life
    Witness.notes = notes = Notes(Path(os.environ[EVIDENCE]), life)
    make = WitnessOfHttp if settings.transport == "http" else WitnessOfRedis
    worker = Worker(settings, make(settings))
    for job_type, handle in HANDLERS.items():
        worker.handler(job_type)(witnessed(handle, notes, life))
    with service.metrics_page(settings, worker.metrics_registry):
        await worker.run()


if __name__ == "__main__":
    sys.exit(service.run("worker", WorkerSettings, serve))
