"""`sluicegate api|control|worker|sweeper`: each becomes its service and ends in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wait import until_sync

COMMANDS = {
    "api": (["--port", "0", "--host", "127.0.0.1"], "service_listening"),
    "control": (["--port", "0"], "service_listening"),
    "worker": (["--metrics-port", "0", "--concurrency", "2", "--worker-id", "w-7"], "worker.started"),
    "sweeper": (["--metrics-port", "0", "--interval-ms", "100"], "sweeper.started"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_service_runs_until_sigterm(name: str, store_url: str, tmp_path: Path) -> None:
    """Started in a folder that has a package `services` of its own; the process is the service's."""
    flags, started = COMMANDS[name]
    (tmp_path / "services").mkdir()
    (tmp_path / "services/__init__.py").write_text("raise SystemExit('the wrong services')")
    words = [sys.executable, "-P", "-m", "sluicegate", name, "--redis-url", store_url, *flags]
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(words, cwd=tmp_path, stderr=errors, stdin=subprocess.DEVNULL) as service,
    ):
        try:
            until_sync(
                lambda: service.poll() is not None or f'"event":"{started}"' in log.read_text(),
                f"{name} says {started}",
                30,
            )
        finally:
            service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0, log.read_text()
    if name == "worker":
        assert '"worker":"w-7","slots":2' in log.read_text()


def test_a_port_in_use_ends_with_1_and_one_line(store_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "sluicegate", "api", "--port", port, "--redis-url", store_url],
            env=os.environ, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr and "Traceback" not in done.stderr
