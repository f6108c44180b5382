"""One drill from its start to its judgement: calm, faults under load, calm, drain, a look, the end of all."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from sluicegate.client import Client
from sluicegate.dev.deployment import Deployment, Running
from sluicegate.dev.kept_store import KeptStore
from sluicegate.dev.processes import processes_with
from sluicegate.drill.aftermath import Aftermath, defects, look
from sluicegate.drill.drills import HEARTBEAT_SECONDS, LEASE_SECONDS, Drill, Size
from sluicegate.drill.evidence import Evidence, Notes, now
from sluicegate.drill.faults import Fault, Scene
from sluicegate.drill.figures import Figures, Spread, figures
from sluicegate.drill.judge import Check, broken_off, judge
from sluicegate.drill.load import Pace, Producer
from sluicegate.drill.scratch import MARK, scratch_plan, scratch_services
from sluicegate.drill.screen import Progress
from sluicegate.drill.slow_link import SlowLink
from sluicegate.errors import SluicegateError
from sluicegate.settings import Settings, load
from sluicegate.store import Store, jobs

DRAIN_SECONDS: Final = 60.0
END_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.1
CALL_SECONDS: Final = 5.0


class Outcome(Struct, frozen=True, kw_only=True):
    """How a drill went. figures: None where it was broken off."""

    drill: Drill
    size: Size
    jobs: int
    faults: Sequence[Fault]
    checks: Sequence[Check]
    figures: Figures | None = None
    store_bytes: int = 0
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        return all(check.held for check in self.checks)

    @property
    def recovery(self) -> Spread | None:
        """How long it took after its faults."""
        return None if self.figures is None else self.figures.jobs_again or self.figures.service_again


class DrillRun:
    """deadline: on the monotonic clock; past it the drill has failed."""

    def __init__(
        self,
        drill: Drill,
        size: Size,
        seed: int,
        folder: Path,
        progress: Progress,
        deadline: float,
    ) -> None:
        self._drill = drill
        self._size = size
        self._seed = seed
        self._folder = folder
        self._progress = progress
        self._deadline = deadline
        self._evidence = folder / "evidence"
        self._faults: list[Fault] = []
        self._found: Aftermath | None = None
        self._began = self._enough = 0.0

    async def run(self) -> Outcome | None:
        """How it went; None when a signal ended it. Nothing that it started is left then."""
        started = time.monotonic()
        outcome: Outcome | None = None
        try:
            self._evidence.mkdir(parents=True)
            await self._deployed()
            if self._found is not None:
                outcome = await self._judged(self._found)
        except SluicegateError as error:
            outcome = await self._broken_off(error.detail)
        except TimeoutError:
            outcome = await self._broken_off("it took longer than its limit")
        except OSError as error:
            outcome = await self._broken_off(f"its folder cannot be used: {error}")
        seconds = round(time.monotonic() - started, 1)
        return None if outcome is None else structs.replace(outcome, seconds=seconds)

    async def _judged(self, found: Aftermath) -> Outcome:
        found.left, found.defects = await self._left(), defects(self._log)
        evidence = Evidence.read(self._evidence)
        return Outcome(
            drill=self._drill,
            size=self._size,
            jobs=len(evidence.acknowledged),
            faults=self._faults,
            checks=judge(evidence, found, self._faults, asked=self._size.faults, late=self._drill.late),
            figures=figures(evidence, self._faults, self._began, self._enough),
            store_bytes=found.store_bytes,
        )

    async def _broken_off(self, why: str) -> Outcome:
        return Outcome(
            drill=self._drill,
            size=self._size,
            jobs=len(Evidence.read(self._evidence).acknowledged),
            faults=self._faults,
            checks=broken_off(why, await self._left()),
        )

    def _dice(self, what: str) -> random.Random:
        """Dice of its own for each, so that one that throws more often changes nothing for the others."""
        return random.Random(f"{self._seed} {self._drill.name} {what}")  # noqa: S311 - no secret

    @property
    def _log(self) -> Path:
        return self._folder / "services.log"

    async def _deployed(self) -> None:
        """Everything that needs the deployment; it ends with this."""
        if time.monotonic() > self._deadline:  # an earlier drill took all of the time
            raise TimeoutError
        plan = scratch_plan(self._folder, LEASE_SECONDS)
        link = SlowLink(lambda: _kept(deployment).store.port, self._dice("link"))
        with self._log.open("ab") as log:
            async with link.serving():
                port = link.port if self._drill.slow else None
                chosen = scratch_services(plan, self._size.workers, self._evidence, port)
                deployment = Deployment(plan, log, chosen)

                async def session(running: Running) -> int:
                    async with asyncio.timeout(self._deadline - time.monotonic()):
                        await self._course(running, deployment, link)
                    return 0

                await deployment.run(session)

    async def _course(self, running: Running, deployment: Deployment, link: SlowLink) -> None:
        calm = self._size.calm_seconds
        pace = Pace([calm, *[self._drill.fault_seconds] * self._size.faults, calm])

        def advance(number: int) -> None:
            pace.step()
            self._progress.faults(number, producer.acknowledged)

        scene = Scene(
            services=deployment.services,
            evidence=self._evidence,
            store=_kept(deployment),
            link=link,
            dice=self._dice("faults"),
            faults=self._faults,
            count=self._size.faults,
            gap_seconds=self._drill.gap_seconds,
            lease_seconds=LEASE_SECONDS,
            heartbeat_seconds=HEARTBEAT_SECONDS,
            advance=advance,
        )
        notes = Notes(self._evidence, "producer")
        async with Client.from_url(running.url, timeout_seconds=CALL_SECONDS, retry_seconds=0.0) as client:
            producer = Producer(client, notes, self._dice("load"), jobs=self._size.jobs, pace=pace)
            self._began = now()
            producing = asyncio.create_task(producer.run(), name="producer")
            try:
                await asyncio.sleep(calm)
                pace.step()
                await self._drill.make(scene)
                await asyncio.sleep(calm)
                self._enough = now()
                pace.step()
                await producing
            finally:
                producing.cancel()
                await asyncio.wait([producing])
        notes.close()
        self._progress.draining(producer.acknowledged)
        async with _opened(running) as store:
            await _drained(store)
            ids = [line.job for line in Evidence.read(self._evidence).acknowledged]
            self._found = await look(store, ids)

    async def _left(self) -> list[int]:
        """Processes of the deployment that are still there, given a moment."""
        deadline = time.monotonic() + END_SECONDS
        while left := await processes_with(f"{MARK}={self._folder}"):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_SECONDS)
        return left


@contextlib.asynccontextmanager
async def _opened(running: Running) -> AsyncIterator[Store]:
    """The store itself, without the slow way."""
    settings = load(Settings, environ=running.plan.environment, flags={"redis_url": running.redis_url})
    store = await Store.open(settings)
    try:
        yield store
    finally:
        await store.close()


async def _drained(store: Store) -> None:
    """Return when nothing waits or runs, or after some time: what is left then is found by the judge."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                counts = await jobs.counts(store)
                if not (counts.queued or counts.delayed or counts.running or counts.stale_running):
                    return
                await asyncio.sleep(LOOK_SECONDS)


def _kept(deployment: Deployment) -> KeptStore:
    if deployment.store is None:
        raise RuntimeError("a drill runs on a store of its own")
    return deployment.store
