"""Workers that reach only the API: the network breaks, the server dies, the token is revoked."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sluicegate.model import NewJob
from sluicegate.operations import credentials
from sluicegate.operations import jobs as job_operations
from sluicegate.operations.credentials import IssuedWorkerToken, WorkerTokenCall
from sluicegate.store import Store, events, invariants, jobs, shelves, workers
from tests.support.contents import kinds
from tests.support.job_builder import JobBuilder
from tests.support.marked import marked
from tests.support.network import elsewhere
from tests.support.origin import Origin
from tests.support.programs import NO_STORE, Programs, programs
from tests.support.wait import until


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path, "http") as running:
        yield running


async def issued(store: Store, worker_id: str) -> IssuedWorkerToken:
    return await credentials.create_worker_token(store, WorkerTokenCall(worker_id=worker_id), actor="admin")


async def test_a_killed_server_costs_a_running_job_nothing(
    store: Store, started: Programs, tmp_path: Path
) -> None:
    """kill -9 of queue_api in mid-job, and a new one at its address: nothing lost, nothing run twice."""
    make = JobBuilder(store)
    script = (
        f"echo before; touch {tmp_path}/began; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo after"
    )
    payload = {"commands": [["sh", "-c", script]]}
    (job_id,) = await make.enqueued(make.submission("command", payload=payload))
    worker = await started.worker(WORKER_LEASE_SECONDS="30")
    await until((tmp_path / "began").exists, "the command runs")
    assert started.queue_api is not None
    started.queue_api.kill()
    (behind,) = await make.enqueued(make.submission("small"))
    (tmp_path / "go").touch()
    await worker.said("worker.store.away")  # what it has to say waits
    await worker.said("worker.claim.failed")
    await started.start_api()
    for each in (job_id, behind):
        await until(lambda each=each: _has_status(store, each, "succeeded"), "it has ended", timeout=15)
        assert (await jobs.get(store, each)).attempt == 1
        assert (await kinds(store, each)).count("job.claimed") == 1
    found = await events.page(store, job_id, limit=500)
    told = [event.payload["text"] for event in found if event.payload and event.payload["kind"] == "log"]
    assert "".join(told) == "before\nafter\n"
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert await workers.listing(store) == []
    assert await invariants.check(store) == []


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "in mid-poll"])
async def test_a_revoked_token_ends_its_worker(store: Store, started: Programs, busy: bool) -> None:
    """Q-2: exit 1 with a clear line. A busy one kills what it runs: its leases can no longer be renewed."""
    started.settings["AUTH"] = "required"
    token = await issued(store, "remote-1")
    make = JobBuilder(store)
    if busy:
        code = "import os, time; os.fork(); time.sleep(600)"
        payload = {"commands": [[sys.executable, "-c", code]]}
        (job_id,) = await make.enqueued(make.submission("command", payload=payload))
    worker = await started.worker("remote-1", TOKEN=token.token, WORKER_CONCURRENCY="1")
    if busy:
        await until(lambda: len(marked(worker.mark)) >= 5, "the command runs")
    else:
        await until(lambda: _polls(store), "its claim has looked, and waits")
    await credentials.revoke(store, "worker", token.worker_token.id, actor="admin")
    if not busy:
        (job_id,) = await make.enqueued(make.submission("small"))  # what the poll was waiting for
    assert await worker.ended() == 1
    assert (await worker.said("worker.dismissed"))["code"] == "worker_auth_failed"
    assert "the token is wrong, was revoked or has expired" in worker.text.splitlines()[-1]
    await until(lambda: marked(worker.mark) == [], "nothing that it ran is left", timeout=3)
    assert token.token not in worker.text
    assert (await kinds(store, job_id)).count("job.claimed") == (1 if busy else 0)
    assert "job.released" not in await kinds(store, job_id)


@pytest.mark.parametrize("given", ["no token", "another's name"])
async def test_a_worker_that_is_not_let_in_says_why(store: Store, started: Programs, given: str) -> None:
    """Q-1, Q-2: one line and exit 1, before it has claimed anything."""
    started.settings["AUTH"] = "required"
    token = await issued(store, "remote-1")
    variables = {} if given == "no token" else {"TOKEN": token.token, "WORKER_ID": "remote-2"}
    worker = started.start("services.worker", **{**await started.reach(), **variables})
    assert await worker.ended() == 1
    clear = "a worker's token is needed" if given == "no token" else "that is 'remote-1'"
    assert clear in worker.text.splitlines()[-1]


@pytest.mark.needs("git")
async def test_a_task_on_a_machine_that_reaches_only_the_api(
    store: Store, started: Programs, store_url: str, tmp_path: Path
) -> None:
    """From claim to published branch, with an address and a token: another network, another folder."""
    origin = Origin(tmp_path / "remote")
    home = tmp_path / "elsewhere"
    home.mkdir()
    token = await issued(store, "remote-1")
    (home / "token").write_text(token.token + "\n")
    steps = [{"instructions": "echo one > one"}, {"instructions": "cp one two; echo said"}]
    task = {"instructions": "Improve it", "git": {"newBranch": "result"}, "steps": steps}
    payload = {"repository": str(origin.path), "targetRuntime": "shell", "task": task}
    local = msgspec.structs.replace(store.settings, allow_local_repositories=True)
    started.settings |= {"AUTH": "required", "ALLOW_LOCAL_REPOSITORIES": "1"}
    with elsewhere() as machine:
        started.settings["HOST"] = machine.here
        await started.start_api()
        store_there = _reachable(machine.argv, machine.here, store_url)
        worker = started.start(
            "services.worker", before=machine.argv, URL=f"http://{machine.here}:{started.api_port}",
            TOKEN_FILE=str(home / "token"), REDIS_URL=NO_STORE, DATA_DIR=str(home / "data"),
            WORKER_CAPABILITIES="git,shell",
        )  # fmt: skip
        await worker.said("worker.started")
        (submission,) = [
            job_operations.prepare(NewJob(type="task", payload=payload), actor="x", settings=local)
        ]
        (job_id,) = await JobBuilder(store).enqueued(submission)
        await until(lambda: _ended(store, job_id), "the task has ended", timeout=30)
        (seen,) = await workers.listing(store)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert not store_there
    job = await jobs.get(store, job_id)
    assert (job.status, job.error_message, job.claimed_by) == ("succeeded", None, "remote-1")
    assert (seen.worker_id, seen.transport) == ("remote-1", "http")
    assert origin.files("result") == ["README.md", "one", "two"]
    names = [artifact.name for artifact in await shelves.artifacts(store, job_id)]
    assert {"logs/prepare.log", "logs/publish.log", "logs/steps/step-0002.log"} <= set(names)
    assert [step.step_id for step in await shelves.steps(store, job_id)] == ["step-1", "step-2"]
    assert await workers.listing(store) == []


def _reachable(argv: tuple[str, ...], here: str, store_url: str) -> bool:
    """Whether the store answers from there, at its own address or at this machine's."""
    port = store_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0]
    code = (
        "import socket, sys; [socket.create_connection((each, int(sys.argv[1])), 2) for each in sys.argv[2:]]"
    )
    for address in ("127.0.0.1", here):
        words = [*argv, sys.executable, "-c", code, port, address]
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return True
    return False


async def _polls(store: Store) -> bool:
    """Whether a long poll waits for the bell of its policy: its first look at the lanes is over."""
    return "cmd=blpop" in str(await store.command("CLIENT", "LIST"))


async def _has_status(store: Store, job_id: str, status: str) -> bool:
    return (await jobs.get(store, job_id)).status == status


async def _ended(store: Store, job_id: str) -> bool:
    return (await jobs.get(store, job_id)).terminal
