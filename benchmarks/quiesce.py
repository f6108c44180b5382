"""How soon after the end of its step a quiesced job is at its checkpoint, with a hundred of them at once.

All stand in a step each, half of them under a worker beside the store, half under one over HTTP. When the
pause has been called their steps may end; the next step must not begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct

from benchmarks.ceiling import latencies
from benchmarks.pause import change
from benchmarks.programs import Program, until
from benchmarks.rig import Rig, finished
from benchmarks.subject import Round, Scale, Subject, Unmeasured
from benchmarks.tasks import ABLE, make_repository
from sluicegate.client import Client
from sluicegate.store import Store, events
from sluicegate.times import from_rfc3339

JOBS: Final = 100
APART_SECONDS: Final = 0.25
"""Between the ends of two tasks' steps: git takes what a step has made when it ends, on the same cores."""
STEP: Final = """\
touch {folder}/begun-{at}
exec 3< {folder}/gate-{at}
echo $EPOCHREALTIME > {folder}/writing-{at}
mv {folder}/writing-{at} {folder}/ended-{at}
"""
"""Opening a pipe waits until somebody opens its other end; no process looks for anything meanwhile."""


class Standing:
    """One job, and the gates that its steps stand at."""

    def __init__(self, folder: Path, steps: int) -> None:
        folder.mkdir()
        for at in range(steps):
            os.mkfifo(folder / f"gate-{at}")
        self.folder = folder
        self.scripts = [STEP.format(folder=folder, at=at) for at in range(steps)]
        self.job_id = ""

    def begun(self, at: int) -> bool:
        return (self.folder / f"begun-{at}").exists()

    def may_end(self, at: int) -> bool:
        """Open the gate; False while the step is not there yet."""
        try:
            os.close(os.open(self.folder / f"gate-{at}", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def ended_ms(self, at: int) -> float:
        return float((self.folder / f"ended-{at}").read_text().replace(",", ".")) * 1000


class Scene(Struct, frozen=True):
    """What runs: `workers` have a slot for each of the jobs. operator: a session with control."""

    folder: Path
    store: Store
    client: Client
    operator: aiohttp.ClientSession
    workers: list[Program]

    async def all_in(self, jobs: Sequence[Standing], at: int) -> None:
        await until(lambda: all(job.begun(at) for job in jobs), f"all are in step {at + 1}", *self.workers)

    async def open_gates(self, jobs: Sequence[Standing], at: int, apart_seconds: float = 0.0) -> None:
        for job in jobs:
            await until(partial(job.may_end, at), "the gate opens", *self.workers)
            await asyncio.sleep(apart_seconds)

    async def quiesced_after(
        self, jobs: Sequence[Standing], at: int, apart_seconds: float = 0.0
    ) -> list[float]:
        """Quiesce while all are in this step, and let it end; of each the ms from there to its checkpoint."""
        await self.all_in(jobs, at)
        await change(self.operator, "pause", "quiesce")
        await self.open_gates(jobs, at, apart_seconds)
        taken = [await self._paused_ms(job, at) - job.ended_ms(at) for job in jobs]
        if any(job.begun(at + 1) for job in jobs):
            raise Unmeasured("a step began although the workers were quiesced")
        await change(self.operator, "resume")
        return taken

    async def _paused_ms(self, job: Standing, at: int) -> int:
        """When the job said that it waits before the step after this one, by the machine's clock."""
        found: list[int] = []

        async def look() -> bool:
            for event in await events.page(self.store, job.job_id, limit=500, sort="desc"):
                payload = event.payload or {}
                if payload["kind"] == "task.paused" and payload["stepId"] == f"step-{at + 2}":
                    found.append(from_rfc3339(event.created_at))
            return bool(found)

        await until(look, "the job waits at its checkpoint", *self.workers)
        return found[0]


@contextlib.asynccontextmanager
async def _scene(slots: int) -> AsyncIterator[Scene]:
    with Rig() as rig:
        async with (
            rig.service("control") as url,
            rig.service("queue_api", ALLOW_LOCAL_REPOSITORIES="1") as api_url,
            rig.store() as store,
            rig.workers(slots=slots // 2, settings=ABLE) as (near,),
            rig.workers(slots=slots // 2, url=api_url, settings=ABLE) as (far,),
            Client.from_url(api_url) as client,
            aiohttp.ClientSession(url) as operator,
        ):
            yield Scene(rig.folder, store, client, operator, [near, far])


async def of_jobs(scale: Scale) -> AsyncGenerator[Round, None]:
    """Two steps, each a command; all the first ones end at once."""
    number = scale.of(JOBS, quick=6)
    async with _scene(number) as scene:
        for done in scale.rounds:
            jobs = [Standing(scene.folder / f"job-{done}-{at}", 2) for at in range(number)]
            for job in jobs:
                payload = {"scripts": job.scripts}
                job.job_id = (await scene.client.enqueue(type="two_steps", payload=payload)).id
            taken = await scene.quiesced_after(jobs, 0)
            yield latencies(f"quiesce, {number} jobs, from the step's end", taken, None, p99=1000)
            await scene.all_in(jobs, 1)
            await scene.open_gates(jobs, 1)
            await finished(scene.store, number * (done + 1), *scene.workers)


async def of_tasks(scale: Scale) -> AsyncGenerator[Round, None]:
    """The same tasks all the time, from step to step, whose steps end one after another."""
    number = scale.of(JOBS, quick=6)
    async with _scene(number) as scene:
        repository = scene.folder / "repository"
        await asyncio.to_thread(make_repository, repository)
        tasks = [Standing(scene.folder / f"task-{at}", len(scale.rounds) + 1) for at in range(number)]
        for task in tasks:
            payload: dict[str, Any] = {
                "repository": str(repository),
                "targetRuntime": "shell",
                "task": {
                    "instructions": "Stand at each gate",
                    "steps": [{"instructions": script} for script in task.scripts],
                },
            }
            task.job_id = (await scene.client.enqueue(type="task", payload=payload)).id
        for at in scale.rounds:
            taken = await scene.quiesced_after(tasks, at, APART_SECONDS)
            yield latencies(f"quiesce, {number} tasks, from the step's end", taken, None, p99=1000)


SUBJECTS: Final = (
    Subject(
        name="quiesce",
        says="from the end of a job's step to its checkpoint, quiesced",
        rounds=of_jobs,
        long=True,
        limit_seconds=300.0,
    ),
    Subject(
        name="quiesce-tasks",
        says="the same with tasks: what the step made is stored in between",
        rounds=of_tasks,
        long=True,
        limit_seconds=400.0,
    ),
)
