"""Tasks of shell steps on a repository of a given size, and what they leave to be read."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from benchmarks.programs import Program, until
from benchmarks.rig import Rig
from benchmarks.subject import Unmeasured
from sluicegate.client import Client
from sluicegate.model import Event
from sluicegate.store import Store, events, jobs

FILES_IN_A_FOLDER: Final = 50
LINES: Final = 40
NOW: Final = "$EPOCHREALTIME"
"""What a step's shell calls the moment, by the machine's clock of the day."""
ABLE: Final = {"WORKER_CAPABILITIES": "git,shell", "ALLOW_LOCAL_REPOSITORIES": "1"}


class Scene(Struct, frozen=True):
    """A worker beside the store, and a repository for its tasks."""

    rig: Rig
    store: Store
    client: Client
    worker: Program
    repository: Path

    @property
    def folder(self) -> Path:
        return self.rig.folder

    async def enqueue(self, scripts: Sequence[str], limits: Mapping[str, float] | None = None) -> str:
        """A task of these steps, tried once by the queue; its id."""
        payload: dict[str, Any] = {
            "repository": str(self.repository),
            "targetRuntime": "shell",
            "task": {
                "instructions": "Be measured",
                "limits": dict(limits or {}),
                "steps": [{"instructions": script} for script in scripts],
            },
        }
        return (await self.client.enqueue(type="task", payload=payload, max_attempts=1)).id

    async def ended(self, *job_ids: str, as_: str = "succeeded") -> None:
        """Return once all of them have ended, in this status."""

        async def all_ended() -> bool:
            found = [await jobs.get(self.store, job_id) for job_id in job_ids]
            for job in found:
                if job.terminal and job.status != as_:
                    raise Unmeasured(f"a task ended as {job.status}: {job.error_message}")
            return all(job.terminal for job in found)

        await until(all_ended, "the tasks end", self.worker, every_seconds=0.05)

    async def told(self, job_id: str, kind: str) -> list[Event]:
        """The latest events of this kind, the last one first."""
        page = await events.page(self.store, job_id, limit=1000, sort="desc")
        return [event for event in page if (event.payload or {}).get("kind") == kind]


@contextlib.asynccontextmanager
async def scene(files: int, *, slots: int = 1) -> AsyncIterator[Scene]:
    with Rig() as rig:
        repository = rig.folder / "repository"
        make_repository(repository, files)
        async with (
            rig.store() as store,
            rig.workers(slots=slots, settings=ABLE) as (worker,),
            rig.client() as client,
        ):
            yield Scene(rig, store, client, worker, repository)


def make_repository(path: Path, files: int = 0) -> None:
    """One commit with so many small text files, whatever git's configuration here says."""
    path.mkdir()
    for at in range(files):
        file = file_of(path, at)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"line {line} of file {at}\n" for line in range(LINES)))
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        git(path, *words)


def file_of(tree: Path, at: int) -> Path:
    return tree / "src" / f"part-{at // FILES_IN_A_FOLDER}" / f"file-{at}.txt"


def git(path: Path, *words: str) -> None:
    command = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-C", str(path), *words]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def stamps(path: Path) -> list[float]:
    """The moments that shells have written there, a line each, in ms of the day."""
    return [float(line.replace(",", ".")) * 1000 for line in path.read_text().split()]
