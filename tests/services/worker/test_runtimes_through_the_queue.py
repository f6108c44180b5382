"""Agents, played by stand-ins, on both ways to the queue: enqueued, run on a real repository, published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluicegate.artifacts import ArtifactFolder
from sluicegate.model import Job, NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.settings import Settings
from sluicegate.store import Store, events, shelves
from tests.services.worker.conftest import Way, ended, working
from tests.support.agents import AGENTS, SECRET, StandIns
from tests.support.origin import Origin

EFFORT = {"codex": 'model_reasoning_effort="high"', "claude": "high", "gemini": None}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, allow_local_repositories=True)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIns:
    return StandIns(monkeypatch, tmp_path)


async def enqueued(store: Store, origin: Origin, agent: str, *steps: str) -> Job:
    choice: dict[str, Any] = {"mode": agent, "model": "large-2"} | (
        {"effort": "high"} if EFFORT[agent] else {}
    )
    task = {
        "instructions": "Improve the files",
        "runtime": choice,
        "git": {"newBranch": "result"},
        "steps": [{"instructions": each} for each in steps],
    }
    payload = {"repository": str(origin.path), "task": task}
    return (await job_operations.enqueue(store, NewJob(type="task", payload=payload), actor="someone")).job


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_agents_task_from_enqueue_to_branch(
    store: Store, way: Way, origin: Origin, stand_ins: StandIns, agent: str
) -> None:
    """70-27: told on a terminal, allowed to work, its last message in the summary, its branch published."""
    stand_ins.let_in(agent)
    job = await enqueued(
        store, origin, agent, "run git log --oneline\nwrite one first\nsay Wrote the first file.",
        "run cat one\nwrite two second",
    )  # fmt: skip
    assert job.required_capabilities == [agent, "git"] if agent < "git" else ["git", agent]
    async with working(way, "worker-a", capabilities=("git", agent)):
        done = await ended(store, job)
    assert (done.status, done.error_message) == ("succeeded", None)
    assert origin.files("result") == ["README.md", "one", "two"]
    assert origin.file("result", "two") == b"second\n"

    first, second = await shelves.steps(store, job.id)
    assert first.summary.endswith(" s: Wrote the first file.")
    assert first.summary.startswith("1 file changed in ")
    assert second.summary.endswith(" s: Wrote two.")
    told = [event for event in await events.page(store, job.id) if event.payload]
    finished = [event.message for event in told if event.payload["kind"] == "task.step.finished"]  # type: ignore[index]
    assert finished[0] == f"Finished step 1 (step-1): {first.summary}"

    run, _ = stand_ins.notes
    assert (run["name"], run["model"], run["effort"]) == (agent, "large-2", EFFORT[agent])
    assert run["terminal"] is True
    assert run["prompt"].startswith("Objective:\nImprove the files\n\nrun git log")
    assert Path(run["cwd"]).name == "repo"
    assert "SLUICEGATE_PROMPT_FILE" in run["settings"] and "SLUICEGATE_TOKEN" not in run["settings"]

    stored = {artifact.name: artifact for artifact in await shelves.artifacts(store, job.id)}
    log, files = stored["logs/steps/step-0002.log"], ArtifactFolder(store.settings.artifacts_dir)
    content = b"".join([chunk async for chunk in files.read(job.id, log.id, log.digest)])
    assert b'"type":' in content and b"first" in content
    assert SECRET.encode() not in content


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_agent_without_its_key_runs_nothing(
    store: Store, way: Way, origin: Origin, stand_ins: StandIns, agent: str
) -> None:
    """70-27: refused in prepare, for good, with the way out; no step ran and nothing was published."""
    job = await enqueued(store, origin, agent, "write one first")
    async with working(way, "worker-a", capabilities=("git", agent)):
        done = await ended(store, job)
    assert done.status == "failed"
    assert done.error_message is not None and done.error_message.startswith(f"runtime '{agent}' has no key: ")
    kinds = [(event.payload or {}).get("kind") for event in await events.page(store, job.id)]
    assert "task.stage.failed" in kinds and "task.step.started" not in kinds
    assert (stand_ins.notes, origin.branches()) == ([], ["main"])
