"""An operator's hand on one run, with real processes: stopped, gone on, taken over, killed while held."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import pytest

from sluicegate.client import Client
from sluicegate.model import NewJob
from sluicegate.operations import jobs as job_operations
from sluicegate.store import Store, cancellation, events, invariants, jobs, shelves
from tests.support.contents import kinds
from tests.support.job_builder import JobBuilder
from tests.support.marked import marked
from tests.support.origin import Origin
from tests.support.programs import Program, Programs, Way, programs
from tests.support.wait import until

AGENT = """
import os, time
print("ready", flush=True)
for _ in range(3):
    if not os.fork(): os.setsid(); time.sleep(600)
while True: print("tick", flush=True); time.sleep(0.01)
"""
"""An agent with children in sessions of their own, which goes on for ten minutes."""
AGAIN = [sys.executable, "-c", "print('second')"]
Ask = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def started(store_url: str, tmp_path: Path, way: Way) -> Iterator[Programs]:
    with programs(store_url, tmp_path, way) as running:
        yield running


@pytest.fixture
async def ask(started: Programs) -> AsyncIterator[Ask]:
    """`await ask(job_id, action, ...)`, of a control service of its own: the job, as it was then."""
    _, url = await started.service("control")
    async with aiohttp.ClientSession(url) as session:

        async def asked(job_id: str, action: str, **fields: Any) -> dict[str, Any]:
            body = {"action": action, **fields}
            async with session.post(f"/api/task-runs/{job_id}/control", json=body) as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()  # type: ignore[no-any-return]

        yield asked


async def told(store: Store, job_id: str, kind: str) -> list[dict[str, Any]]:
    found = await events.page(store, job_id, limit=500)
    return [event.payload for event in found if event.payload and event.payload["kind"] == kind]


async def has(store: Store, job_id: str, kind: str, times: int = 1) -> bool:
    return len(await told(store, job_id, kind)) >= times


async def has_status(store: Store, job_id: str, status: str) -> bool:
    return (await jobs.get(store, job_id)).status == status


def tree(program: Program) -> list[psutil.Process]:
    """What the agent of this worker consists of: itself and its children."""
    found = marked(program.mark)
    guards = [each for each in found if "guard" in " ".join(each.cmdline())]
    return [each for each in found if each.pid != program.process.pid and each not in guards]


def states(program: Program) -> list[str]:
    return [each.status() for each in tree(program)]


async def agent(store: Store, worker: Program, *commands: list[str]) -> str:
    """The id of a job whose agent and its three children run."""
    make = JobBuilder(store)
    payload = {"commands": [[sys.executable, "-c", AGENT], *commands]}
    (job_id,) = await make.enqueued(make.submission("command", payload=payload))
    await until(lambda: len(tree(worker)) == 4, "the agent and its children run")
    return job_id


@pytest.mark.parametrize("deaf", [False, True], ids=["push", "heartbeat"])
async def test_a_whole_tree_is_stopped_and_goes_on(
    store: Store, started: Programs, ask: Ask, deaf: bool
) -> None:
    """L-5, C-10: all of it in state T, whatever session it is in; a worker that hears no push too."""
    lease = "1" if deaf else "30"
    worker = await started.worker(deaf=deaf, WORKER_LEASE_SECONDS=lease)
    job_id = await agent(store, worker)
    await ask(job_id, "pause", hard=True, reason="look at it")
    await until(lambda: states(worker) == [psutil.STATUS_STOPPED] * 4, "all of it stands still", timeout=5)
    await until(lambda: has(store, job_id, "task.paused"), "it is told")
    assert (await told(store, job_id, "task.paused"))[0] == {
        "kind": "task.paused", "reason": "operator", "hard": True,
    }  # fmt: skip
    await until(lambda: _says(store, job_id, "== PAUSED FOR OPERATOR =="), "the terminal says so")
    await ask(job_id, "resume")
    await until(lambda: psutil.STATUS_STOPPED not in states(worker), "it goes on", timeout=5)
    assert len(tree(worker)) == 4
    ticks = await _output(store, job_id)

    async def more() -> bool:
        return len(await _output(store, job_id)) > len(ticks)

    await until(more, "it puts out more")
    await cancellation.cancel(store, job_id, actor="ann")
    await until(lambda: has_status(store, job_id, "cancelled"), "it is cancelled")
    await until(lambda: tree(worker) == [], "nothing of it is left", timeout=3)
    assert (await kinds(store, job_id)).count("job.claimed") == 1
    assert await invariants.check(store) == []


async def test_a_worker_that_is_killed_leaves_its_run_held(store: Store, started: Programs, ask: Ask) -> None:
    """L-5: kill -9 while the tree is stopped: none of it is left; the next worker waits at the start."""
    first = await started.worker("first")
    job_id = await agent(store, first, AGAIN)
    await ask(job_id, "pause", hard=True)
    await until(lambda: states(first) == [psutil.STATUS_STOPPED] * 4, "all of it stands still")
    await until(lambda: has(store, job_id, "task.paused"), "it is told")
    first.kill()
    await until(lambda: marked(first.mark) == [], "everything it started has ended", timeout=3)
    await started.sweeper()
    second = await started.worker("second")
    await until(lambda: has(store, job_id, "task.paused", 2), "the next worker holds it", timeout=15)
    job = await jobs.get(store, job_id)
    assert (job.status, job.claimed_by, job.attempt) == ("running", "second", 2)
    assert job.payload["liveControl"]["hard"]
    assert tree(second) == []
    await ask(job_id, "resume")
    await until(lambda: has_status(store, job_id, "succeeded"), "it goes on and ends")
    assert await invariants.check(store) == []


async def test_a_worker_that_stops_hands_a_held_run_on(store: Store, started: Programs, ask: Ask) -> None:
    """L-5, Q-14: released at once, no attempt used, and held by the next one."""
    first = await started.worker("first", WORKER_SHUTDOWN_SECONDS="60", WORKER_LEASE_SECONDS="30")
    job_id = await agent(store, first, AGAIN)
    await ask(job_id, "pause", hard=True)
    await until(lambda: states(first) == [psutil.STATUS_STOPPED] * 4, "all of it stands still")
    first.signal(signal.SIGTERM)
    assert await first.ended() == 0
    assert marked(first.mark) == []
    job = await jobs.get(store, job_id)
    assert (job.status, job.attempt, job.releases) == ("queued", 1, 1)
    await started.worker("second")
    await until(lambda: has(store, job_id, "task.paused", 2), "the next worker holds it")
    await cancellation.cancel(store, job_id, actor="ann")
    await until(lambda: has_status(store, job_id, "cancelled"), "it is cancelled")


@pytest.mark.needs("git")
async def test_a_task_is_taken_over_between_two_steps_and_given_back(
    store: Store, store_url: str, started: Programs, ask: Ask, tmp_path: Path
) -> None:
    """L-5, L-9: the step that runs ends; the next waits, longer than a lease, and runs once."""
    origin = Origin(tmp_path / "remote")
    wait = f"touch {tmp_path}/began; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo one > one"
    steps = [{"id": "first", "instructions": wait}, {"id": "second", "instructions": "cp one two; echo ran"}]
    task = {"instructions": "Improve it", "git": {"newBranch": "result"}, "steps": steps}
    payload = {"repository": str(origin.path), "targetRuntime": "shell", "task": task}
    settings = msgspec.structs.replace(store.settings, allow_local_repositories=True)
    submission = job_operations.prepare(NewJob(type="task", payload=payload), actor="x", settings=settings)
    started.settings |= {"ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell"}
    started.start("services.worker", WORKER_ID="worker-1", **await started.reach())
    (job_id,) = await JobBuilder(store).enqueued(submission)
    await until((tmp_path / "began").exists, "the first step runs", timeout=30)
    await ask(job_id, "takeover", reason="mine")
    (tmp_path / "go").touch()
    await until(lambda: has(store, job_id, "task.paused"), "it waits before the next step", timeout=15)
    assert (await told(store, job_id, "task.paused"))[0]["stepId"] == "second"
    assert [each["stepId"] for each in await told(store, job_id, "task.step.finished")] == ["first"]
    assert not await _started(store, job_id, "second")
    before = (await jobs.get(store, job_id)).lease_expires_at
    assert before is not None

    async def renewed() -> bool:
        """Beyond the length of one lease, which is a second."""
        lease = (await jobs.get(store, job_id)).lease_expires_at
        return lease is not None and lease[:19] > before[:19]

    await until(renewed, "its lease goes on")
    job = await jobs.get(store, job_id)
    assert (job.status, job.payload["liveControl"]["takeover"]) == ("running", True)
    async with Client.from_redis(store_url) as client:
        await client.runs.resume(job_id, summary="checked the first file by hand")
    await until(lambda: has_status(store, job_id, "succeeded"), "it goes on and ends", timeout=30)
    assert origin.files("result") == ["README.md", "one", "two"]
    finished = [each["stepId"] for each in await told(store, job_id, "task.step.finished")]
    assert finished == ["first", "second"]
    asked = await told(store, job_id, "task.control.requested")
    assert [(each["action"], each.get("summary")) for each in asked] == [
        ("takeover", None), ("resume", "checked the first file by hand"),
    ]  # fmt: skip
    banners = [log for log in await told(store, job_id, "log") if "== PAUSED FOR OPERATOR ==" in log["text"]]
    assert [(log["stream"], log["stage"], log["stepId"]) for log in banners] == [("pty", "execute", "second")]
    (log,) = [
        each for each in await shelves.artifacts(store, job_id) if each.name == "logs/steps/step-0002.log"
    ]
    stored = tmp_path / "data/artifacts" / job_id / f"{log.digest.removeprefix('sha256:')}.{log.id}"
    assert [line for line in stored.read_text().splitlines() if line] == ["== PAUSED FOR OPERATOR ==", "ran"]
    assert await invariants.check(store) == []


async def _output(store: Store, job_id: str) -> str:
    return "".join(log["text"] for log in await told(store, job_id, "log"))


async def _says(store: Store, job_id: str, text: str) -> bool:
    return text in await _output(store, job_id)


async def _started(store: Store, job_id: str, step_id: str) -> bool:
    return step_id in [each["stepId"] for each in await told(store, job_id, "task.step.started")]
