"""`sluicegate dev` from its first line to its last process (70-36)."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluicegate.dev.demo import tasks
from sluicegate.dev.demo.repository import DemoRepository
from sluicegate.dev.embedded_store import EmbeddedStore
from sluicegate.dev.processes import processes_of
from tests.support.dev_process import DevProcess, command, dev, environment, gone
from tests.support.wait import until_sync


def call(url: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON (or text) of a GET, or of a POST with a body; 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    except OSError:
        return 0, None
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def ready(running: DevProcess) -> bool:
    return call(running.url + "/readyz")[0] == 200


def replaced(running: DevProcess, name: str, victim: psutil.Process) -> bool:
    return running.family().get(name, victim) != victim


def seen(job_id: str, number: int) -> bool:
    """Whether the process table has this many processes of the job."""
    return len(asyncio.run(processes_of(job_id))) == number


def enqueue(running: DevProcess) -> str:
    """The id of a job that nobody takes."""
    status, job = call(running.url + "/api/queue/jobs", {"type": "nobodys", "payload": {"kept": True}})
    assert status == 201, job
    return str(job["id"])


def test_it_says_when_it_is_ready_serves_all_on_one_port_and_leaves_nothing(tmp_path: Path) -> None:
    """70-36, 70-38, 60-1: the first line, one /readyz, /metrics, /docs for all; SIGTERM: nothing left."""
    with dev(tmp_path / "data") as running:
        assert running.pid == running.popen.pid
        assert set(running.family()) == {"store", "queue_api", "control", "sweeper", "worker"}
        assert call(running.url + "/healthz")[0] == 200
        status, said = call(running.url + "/readyz")
        assert status == 200
        assert said["services"] == dict.fromkeys(("queue_api", "control", "sweeper", "worker"), "ready")
        status, found = call(f"{running.url}/api/queue/jobs/{enqueue(running)}")
        assert (status, found["status"]) == (200, "queued")
        assert call(running.url + "/api/system/worker-pause")[0] == 200
        assert "<!doctype html>" in call(running.url + "/")[1]
        status, page = call(running.url + "/metrics")
        memory = next(
            family
            for family in text_string_to_metric_families(page)
            if family.name == "process_resident_memory_bytes"
        )
        assert {each.labels["service"] for each in memory.samples} == set(said["services"])
        status, described = call(running.url + "/openapi.json")
        assert status == 200
        assert {"/api/queue/jobs", "/api/system/worker-pause", "/mcp/tools"} <= set(described["paths"])
        assert 'id="post_system_worker_pause"' in call(running.url + "/docs")[1]
        everything = running.descendants()
        assert running.end() == 0
        gone(everything)
        assert call(running.url + "/healthz") == (0, None)
        assert running.popen.stdout
        assert running.popen.stdout.read() == "", "nothing but the first line goes to stdout"


@pytest.mark.slow
def test_the_same_folder_resumes_after_a_stop_and_after_a_kill(tmp_path: Path) -> None:
    """70-36: kill -9 of dev leaves no child behind, and the next start has every job."""
    with dev(tmp_path / "data", "--no-worker") as running:
        assert "worker" not in running.family()
        first = enqueue(running)
        assert running.end(signal.SIGHUP) == 0
    with dev(tmp_path / "data", "--no-worker") as running:
        assert call(f"{running.url}/api/queue/jobs/{first}")[1]["status"] == "queued"
        second = enqueue(running)
        everything = running.descendants()
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
        gone(everything)
    with dev(tmp_path / "data", "--no-worker") as running:
        for job_id in (first, second):
            assert call(f"{running.url}/api/queue/jobs/{job_id}")[1]["payload"] == {"kept": True}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_running_task_ends_with_dev_and_goes_back_to_the_queue(
    tmp_path: Path, number: signal.Signals
) -> None:
    """70-36: nothing left, not even of a task that ignores SIGTERM; the job is not lost, and uses no attempt
    when there was time to hand it back."""
    repository = DemoRepository(tmp_path)
    asyncio.run(repository.make())
    job = msgspec.to_builtins(tasks.stuck(repository.origin))
    quick = {
        "SLUICEGATE_WORKER_SHUTDOWN_SECONDS": "0.5",
        "SLUICEGATE_STOP_SIGINT_GRACE_SECONDS": "0.2",
        "SLUICEGATE_STOP_SIGTERM_GRACE_SECONDS": "0.2",
    }
    with dev(tmp_path / "data", env=quick) as running:
        status, accepted = call(running.url + "/api/queue/jobs", job)
        assert status == 201, accepted
        until_sync(partial(seen, accepted["id"], tasks.PROCESSES), "the task's processes", 30)
        everything = running.descendants()
        assert running.end(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        gone(everything)
        until_sync(partial(seen, accepted["id"], 0), "the task's processes are gone")
    with dev(tmp_path / "data", "--no-worker") as running:
        found = call(f"{running.url}/api/queue/jobs/{accepted['id']}")[1]
        assert found["attempt"] == 1
        if number == signal.SIGTERM:
            assert (found["status"], found["releases"]) == ("queued", 1)
        else:
            assert found["status"] == "running", "its lease is what brings it back"


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_a_task(tmp_path: Path) -> None:
    """70-36, 70-41: at once, the job released all the same; the exit status is that of an interruption."""
    repository = DemoRepository(tmp_path)
    asyncio.run(repository.make())
    job = msgspec.to_builtins(tasks.stuck(repository.origin))
    with dev(tmp_path / "data", env={"SLUICEGATE_WORKER_SHUTDOWN_SECONDS": "600"}) as running:
        job_id = call(running.url + "/api/queue/jobs", job)[1]["id"]
        until_sync(partial(seen, job_id, tasks.PROCESSES), "the task's processes", 30)
        everything = running.descendants()
        running.popen.send_signal(signal.SIGINT)
        until_sync(lambda: "dev_stopping" in running.log.read_text(), "the stop begins", 30)
        assert running.end(signal.SIGINT) == 128 + signal.SIGINT
        gone(everything)
        until_sync(partial(seen, job_id, 0), "the task's processes are gone")
    with dev(tmp_path / "data", "--no-worker") as running:
        found = call(f"{running.url}/api/queue/jobs/{job_id}")[1]
        assert (found["status"], found["attempt"], found["releases"]) == ("queued", 1, 1)


def test_a_killed_store_and_a_killed_service_come_back(tmp_path: Path) -> None:
    """70-36: a killed store is restarted; what was queued is still there."""
    with dev(tmp_path / "data", "--no-worker") as running:
        job_id = enqueue(running)
        for name in ("store", "queue_api"):
            victim = running.family()[name]
            victim.kill()
            until_sync(partial(replaced, running, name, victim), f"another {name} process")
            until_sync(lambda: ready(running), f"ready again after the {name} was killed", 30)
            status, job = call(f"{running.url}/api/queue/jobs/{job_id}")
            assert (status, job["status"]) == (200, "queued")
        assert running.end() == 0


@pytest.mark.slow
def test_a_store_that_cannot_come_back_ends_dev_with_its_reason(tmp_path: Path) -> None:
    """70-36: or `dev` ends non-zero."""
    with dev(tmp_path / "data", "--no-worker") as running:
        manifest = next((tmp_path / "data" / "store" / "appendonlydir").glob("*.manifest"))
        manifest.write_text("not a manifest\n")
        everything = running.descendants()
        running.family()["store"].kill()
        assert running.popen.wait(60) == 1
        gone(everything)
        assert "Error: the embedded store ended with status 1" in running.log.read_text()


@pytest.mark.slow
def test_a_second_dev_on_the_folder_is_refused_and_does_not_harm_the_first(tmp_path: Path) -> None:
    with dev(tmp_path / "data", "--no-worker") as running:
        family = running.family()
        second = subprocess.run(
            command("--port", "0", "--data-dir", str(tmp_path / "data")),
            capture_output=True,
            check=False,
            text=True,
            env=environment(),
            timeout=60,
        )
        assert second.returncode == 1
        assert f"another `sluicegate dev` (process {running.pid}) uses {tmp_path / 'data'}" in second.stderr
        assert "Traceback" not in second.stderr
        assert running.family() == family
        assert ready(running)


@pytest.mark.slow
def test_a_server_of_ones_own_is_used_and_left_alone(tmp_path: Path) -> None:
    """70-36: SLUICEGATE_REDIS_URL in the environment means that server, and no embedded store."""
    with EmbeddedStore(tmp_path / "own", persistent=False) as own:
        with dev(tmp_path / "data", "--no-worker", env={"SLUICEGATE_REDIS_URL": own.url}) as running:
            assert running.redis_url == own.url
            assert "store" not in running.family()
            enqueue(running)
            assert running.end() == 0
        assert own.alive
        assert not (tmp_path / "data" / "store").exists()


@pytest.mark.parametrize(
    ("flags", "variables", "status", "said"),
    [
        (["--port", "{taken}"], {}, 1, "cannot listen on 127.0.0.1:{taken}"),
        ([], {"SLUICEGATE_WORKER_CONCURRENCY": "many"}, 1, "SLUICEGATE_WORKER_CONCURRENCY='many'"),
        ([], {"SLUICEGATE_HOST": "0.0.0.0"}, 1, "SLUICEGATE_HOST='0.0.0.0' is refused"),
        (["--data-dir", "/dev/null/folder"], {}, 1, "the data folder /dev/null/folder cannot be used"),
        (["--port", "65536"], {}, 2, "65536"),
        (["--demo", "--no-worker"], {}, 2, "the demo needs its worker"),
    ],
    ids=["port taken", "bad setting", "open address", "no folder", "bad port", "demo without worker"],
)
def test_what_cannot_work_is_refused_in_one_line(
    tmp_path: Path, flags: list[str], variables: dict[str, str], status: int, said: str
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        given = [each.format(taken=taken) for each in flags]
        ended = subprocess.run(
            command("--data-dir", str(tmp_path / "data"), *given),
            capture_output=True,
            check=False,
            text=True,
            env=environment(variables),
            timeout=60,
        )
    assert ended.returncode == status, ended.stderr
    assert said.format(taken=taken) in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_people_get_a_panel_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--port", "0", "--data-dir", str(tmp_path / "data"), "--no-worker"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment({"COLUMNS": "120"}),
    ) as popen:
        assert popen.stdout
        panel = ""
        while "Ctrl-C" not in panel:
            line = popen.stdout.readline()
            assert line, "the panel ends with how to stop"
            panel += line
        popen.send_signal(signal.SIGINT)
        assert popen.wait(60) == 0
    assert "Sluicegate is ready" in panel
    assert "http://127.0.0.1:" in panel
    assert str(tmp_path / "data")[:40] in panel
