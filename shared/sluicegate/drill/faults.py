"""What is done to the deployment: each drill's faults, one after another at moments that the dice choose."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from sluicegate.dev.kept_store import KeptStore
from sluicegate.dev.processes import processes_with
from sluicegate.dev.service_process import ServiceProcess
from sluicegate.drill.evidence import LIFE, in_flight, life_of, notes_of, now
from sluicegate.drill.slow_link import SlowLink

GONE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.05
JOB_SECONDS: Final = 3.0
ON_WORKERS: Final = 0.8
"""So many of the kills hit a worker; the others one of the services."""


class Fault(Struct, kw_only=True):
    """Something was done to `target`. over_at: when it could work again, as far as that is ours to say.

    life: of the worker that was hit. left: its processes that had not ended in their time; gone_seconds: how
    long the last one took.
    """

    what: str
    target: str
    at: float
    over_at: float
    life: str | None = None
    left: list[int] = field(default_factory=list[int])
    gone_seconds: float | None = None


class Scene(Struct, kw_only=True):
    """Where the faults are made. advance: called after each with the number of those so far."""

    services: Mapping[str, ServiceProcess]
    evidence: Path
    store: KeptStore
    link: SlowLink
    dice: random.Random
    count: int
    gap_seconds: float
    lease_seconds: float
    heartbeat_seconds: float
    advance: Callable[[int], None]
    faults: list[Fault] = field(default_factory=list[Fault])

    async def each(self, make: Callable[[int], Awaitable[Fault]]) -> None:
        for number in range(self.count):
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * self.gap_seconds)
            self.faults.append(await make(number))
            self.advance(len(self.faults))

    async def victim(self, *, worker: bool) -> tuple[ServiceProcess, int]:
        """The first that works in an order of the dice, and its process id; once most of the workers do.

        Whoever is killed in its start proves little, and so does a fleet that is never there.
        """
        workers = [each for each in self.services.values() if _is_worker(each)]
        others = [each for each in self.services.values() if not _is_worker(each)]
        candidates = list(workers if worker else others)
        self.dice.shuffle(candidates)
        while True:
            at_work = sum(self._works(each) for each in workers)
            for process in candidates:
                if 2 * at_work > len(workers) and process.pid is not None and self._works(process):
                    return process, process.pid
            await asyncio.sleep(LOOK_SECONDS)

    async def victim_at_work(self) -> tuple[ServiceProcess, int]:
        """A worker in the middle of a job, if it comes to have one soon."""
        process, pid = await self.victim(worker=True)
        notes = notes_of(self.evidence, life_of(process.service.name, pid))
        deadline = now() + JOB_SECONDS
        while now() < deadline:
            if in_flight(notes):
                break
            await asyncio.sleep(LOOK_SECONDS)
        return process, pid

    def _works(self, process: ServiceProcess) -> bool:
        """Whether it runs, and a worker has begun its notes."""
        if process.pid is None or not _is_worker(process):
            return process.pid is not None
        return notes_of(self.evidence, life_of(process.service.name, process.pid)).exists()


async def kill9(scene: Scene) -> None:
    """SIGKILL of workers, and now and then of another service; each is started again as by a supervisor."""
    async with asyncio.TaskGroup() as looks:

        async def make(_: int) -> Fault:
            process, pid = await scene.victim(worker=scene.dice.random() < ON_WORKERS)
            process.kill()
            fault = Fault(what="kill -9", target=process.service.name, at=now(), over_at=now())
            if _is_worker(process):
                fault.life = life_of(fault.target, pid)
                looks.create_task(_see_it_gone(fault, fault.life))
            return fault

        await scene.each(make)


async def freeze(scene: Scene) -> None:
    """SIGSTOP of a worker until its leases are over and its jobs are others', then SIGCONT."""

    async def make(_: int) -> Fault:
        process, pid = await scene.victim_at_work()
        began = now()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(scene.dice.uniform(1.6, 2.2) * scene.lease_seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
        name = process.service.name
        return Fault(what="freeze", target=name, at=began, over_at=now(), life=life_of(name, pid))

    await scene.each(make)


async def store_restart(scene: Scene) -> None:
    """kill -9 of the store, every third time an orderly stop; it is away for up to a lease and a half."""

    async def make(number: int) -> Fault:
        began = now()
        at_once = number % 3 != 2
        away = scene.dice.uniform(0.1, 1.5) * scene.lease_seconds
        await scene.store.crash(away, at_once=at_once)
        what = "kill -9" if at_once else "restart"
        return Fault(what=what, target="store", at=began, over_at=now())

    await scene.each(make)


async def slow_store(scene: Scene) -> None:
    """Every command is delayed; for longer than a heartbeat none passes, and then connections may break."""

    async def make(number: int) -> Fault:
        began = now()
        async with scene.link.stalled():
            shortest = 1.2 * scene.heartbeat_seconds
            await asyncio.sleep(scene.dice.uniform(shortest, 1.5 * scene.lease_seconds))
            if number % 2:
                scene.link.cut()
        return Fault(what="stall and cut" if number % 2 else "stall", target="store", at=began, over_at=now())

    await scene.each(make)


def _is_worker(process: ServiceProcess) -> bool:
    """Workers stop before what they report to; nothing else does."""
    return process.service.first_to_stop


async def _see_it_gone(fault: Fault, life: str) -> None:
    """Whether, and how fast, everything that a killed worker had started has ended."""
    while left := await processes_with(f"{LIFE}={life}"):
        if now() - fault.at > GONE_SECONDS:
            fault.left = left
            return
        await asyncio.sleep(LOOK_SECONDS)
    fault.gone_seconds = now() - fault.at
