"""How soon after its current step a quiesced task is at its checkpoint: many running at once, real tasks.

A hundred tasks stand in a step each. When the pause has been called their steps may end, one after another;
the next step must not begin. Half of the workers' slots are beside the store, half reach it over HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.ceiling import latencies
from benchmarks.pause import change
from benchmarks.programs import Program, until
from benchmarks.rig import Rig
from benchmarks.subject import Round, Scale, Subject, Unmeasured
from sluicegate.client import Client
from sluicegate.store import Store, events
from sluicegate.times import from_rfc3339

TASKS: Final = 100
APART_SECONDS: Final = 0.05
"""Between the ends of two steps: what a step has made is stored when it ends, by git, on the same cores."""
STEP: Final = """\
touch {folder}/begun-{at}
exec 3< {folder}/gate-{at}
echo $EPOCHREALTIME > {folder}/writing-{at}
mv {folder}/writing-{at} {folder}/ended-{at}
"""
"""Opening a pipe waits until somebody opens its other end; no process looks for anything meanwhile."""


class Standing:
    """One task, and the gates that its steps stand at."""

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


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    number, steps = scale.of(TASKS, quick=6), len(scale.rounds) + 1
    with Rig() as rig:
        async with (
            rig.service("control") as url,
            rig.service("queue_api", ALLOW_LOCAL_REPOSITORIES="1") as api_url,
            rig.store() as store,
            _able(rig, number // 2) as (near,),
            _able(rig, number // 2, api_url) as (far,),
            Client.from_url(api_url) as client,
            aiohttp.ClientSession(url) as session,
        ):
            tasks = await _enqueued(client, rig.folder, number, steps)
            for at in scale.rounds:
                await _all_in_step(tasks, at, near, far)
                await change(session, "pause", "quiesce")
                for task in tasks:
                    await until(partial(task.may_end, at), "the gate opens", near, far)
                    await asyncio.sleep(APART_SECONDS)
                taken = [await _paused_ms(store, task, at, near, far) - task.ended_ms(at) for task in tasks]
                if any(task.begun(at + 1) for task in tasks):
                    raise Unmeasured("a step began although the workers were quiesced")
                yield latencies(f"quiesce, {number} tasks, from a step's end", taken, None, p99=1000)
                await change(session, "resume")


def _able(
    rig: Rig, slots: int, url: str | None = None
) -> contextlib.AbstractAsyncContextManager[list[Program]]:
    """A worker that can run tasks on a repository of this machine."""
    return rig.workers(slots=slots, url=url, WORKER_CAPABILITIES="git,shell", ALLOW_LOCAL_REPOSITORIES="1")


async def _all_in_step(tasks: list[Standing], at: int, *workers: Program) -> None:
    await until(lambda: all(task.begun(at) for task in tasks), f"all tasks are in step {at + 1}", *workers)


async def _enqueued(client: Client, folder: Path, number: int, steps: int) -> list[Standing]:
    repository = folder / "repository"
    await asyncio.to_thread(_make_repository, repository)
    tasks = [Standing(folder / f"task-{at}", steps) for at in range(number)]
    for task in tasks:
        payload: dict[str, Any] = {
            "repository": str(repository),
            "targetRuntime": "shell",
            "task": {
                "instructions": "Stand at each gate",
                "steps": [{"instructions": script} for script in task.scripts],
            },
        }
        task.job_id = (await client.enqueue(type="task", payload=payload)).id
    return tasks


def _make_repository(path: Path) -> None:
    """One commit, whatever git's configuration here says."""
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-C", str(path)]
    path.mkdir()
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run([*git, *words], check=True, stdin=subprocess.DEVNULL, capture_output=True)


async def _paused_ms(store: Store, task: Standing, at: int, *workers: Program) -> int:
    """When the task said that it waits before the step after this one, by the machine's clock."""
    found: list[int] = []

    async def look() -> bool:
        for event in await events.page(store, task.job_id, limit=500, sort="desc"):
            payload = event.payload or {}
            if payload["kind"] == "task.paused" and payload["stepId"] == f"step-{at + 2}":
                found.append(from_rfc3339(event.created_at))
        return bool(found)

    await until(look, "the task waits at its checkpoint", *workers)
    return found[0]


SUBJECT: Final = Subject(
    name="quiesce", says="from the end of a task's step to its checkpoint, quiesced", rounds=rounds, long=True
)
