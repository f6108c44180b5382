"""Runs scripted steps through a real queue and worker, and judges how each has ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, Final

import uuid_utils
from msgspec import structs

from services.worker.task.handler import run_task
from sluicegate.model import Job, NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.operations.ladder import Rung, climb
from sluicegate.settings import Settings, WorkerSettings
from sluicegate.store import Store, events, jobs, shelves
from sluicegate.worker import Worker
from tests.corpora.outcomes import Outcome, all_runs
from tests.corpora.runs import Corpus, Part, Run
from tests.support.origin import Origin
from tests.support.wait import until

IDLE_SECONDS: Final = 3.0
"""What 300 s are in the runs: a hundredth. What is healthy is silent for at most two thirds of it."""
WALL_SECONDS: Final[dict[Corpus, float]] = {"stuck": 8.0, "healthy": 120.0}
ATTEMPTS_OF_A_JOB: Final = 2
SLOTS: Final = 6
FILES: Final = {"README.md": b"first line\n", "src/main.py": b"print('hello')\n", "notes/one": b"1\n"}


def rules(settings: Settings) -> Settings:
    """What the runs need of the deployment's settings."""
    return structs.replace(
        settings, allow_local_repositories=True, retry_backoff_base_seconds=0.05, retry_backoff_jitter=0
    )


async def judge(store: Store, settings: Settings, folder: Path, slots: int) -> list[Outcome]:
    """All runs of both corpora, as many at a time as the worker has slots."""
    origin = Origin(folder / "remote", FILES)
    of_worker = structs.asdict(settings) | {
        "worker_id": "judge",
        "worker_capabilities": ("git", "shell"),
        "worker_concurrency": slots,
        "worker_dir": folder / "workspaces",
        "worker_shutdown_seconds": 0.1,
        "stop_sigint_grace_seconds": 0.3,
        "stop_sigterm_grace_seconds": 0.3,
        "step_idle_timeout_seconds": IDLE_SECONDS,
    }
    worker = Worker.from_redis(settings=WorkerSettings(**of_worker))
    worker.handler("task")(run_task)
    working = asyncio.create_task(worker.run(handle_signals=False))
    try:
        judging = [
            _judged(store, origin, folder / "marks", corpus, part, run) for corpus, part, run in all_runs()
        ]
        return await asyncio.gather(*judging)
    finally:
        worker.stop()
        await working


async def _judged(store: Store, origin: Origin, marks: Path, corpus: Corpus, part: Part, run: Run) -> Outcome:
    job = await _enqueued(store, origin, marks, corpus, run)

    async def ended() -> Job | None:
        found = await jobs.get(store, job.id)
        return found if found.terminal else None

    done = await until(ended, f"the end of {run.name}", timeout=900, pause=0.25)
    history = await _history(store, job.id)
    rungs = climb(history)
    hard_resets = int((await shelves.facts(store, job.id)).get("hard_resets", "0"))
    healed = any(rung.outcome != "finished" for rung in rungs)
    ended_as = done.failure_class or "?"
    if done.status == "succeeded":
        branch = f"result-{job.id}"
        has_result = origin.tip(branch) is not None and "result" in origin.files(branch)
        ended_as = ("healed" if healed else "finished") if has_result else "without a result"
    right = _is_right(corpus, run, ended_as, rungs, hard_resets)
    return Outcome(corpus, part, run.name, ended_as, len(rungs), hard_resets, right)


def _is_right(corpus: Corpus, run: Run, ended: str, rungs: list[Rung], hard_resets: int) -> bool:
    """What is healthy is never touched; what is stuck ends as it should, within its budgets."""
    if corpus == "healthy":
        return ended == "finished"
    of_a_job = Counter(rung.job_attempt for rung in rungs)
    within = hard_resets <= 1 and max(of_a_job.values()) <= 3
    return within and ended == ("healed" if run.ends == "heals" else run.ends)


async def _enqueued(store: Store, origin: Origin, marks: Path, corpus: Corpus, run: Run) -> Job:
    job_id = str(uuid_utils.uuid7())
    folder = marks / job_id
    folder.mkdir(parents=True)
    payload: dict[str, Any] = {
        "repository": str(origin.path),
        "targetRuntime": "shell",
        "task": {
            "instructions": run.name,
            "limits": {"stepWallSeconds": WALL_SECONDS[corpus], **run.limits},
            "git": {"newBranch": f"result-{job_id}"},
            "steps": [{"instructions": f"MARKS={folder}\n{run.script}"}],
        },
    }
    new = NewJob(id=job_id, type="task", payload=payload, max_attempts=ATTEMPTS_OF_A_JOB)
    return (await job_operations.enqueue(store, new, actor="judge")).job


async def _history(store: Store, job_id: str) -> list[Any]:
    found, after = [], None
    while True:
        page = await events.page(store, job_id, after=after, limit=1000)
        found += [event for event in page if (event.payload or {}).get("kind") != "log"]
        if len(page) < 1000:
            return found
        after = page[-1].id
