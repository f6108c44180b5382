"""The processes of a deployment, started for a test on one store, each with its log in a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil

from sluicegate.dev.embedded_store import free_port
from tests.support.marked import new_mark
from tests.support.wait import until

ROOT = Path(__file__).parents[2]


def python_path(tree: Path) -> str:
    """What makes an interpreter run this tree's code, whichever one is installed."""
    return f"{tree / 'shared'}{os.pathsep}{tree}"


QUICK = {
    "WORKER_LEASE_SECONDS": "1",
    "WORKER_CONCURRENCY": "2",
    "RETRY_BACKOFF_BASE_SECONDS": "0.05",
    "RETRY_BACKOFF_JITTER": "0",
    "STOP_SIGINT_GRACE_SECONDS": "0.1",
    "STOP_SIGTERM_GRACE_SECONDS": "0.1",
    "SWEEPER_INTERVAL_MS": "50",
    "METRICS_PORT": "0",
    "QUEUE_API_PORT": "0",
    "CONTROL_PORT": "0",
    "REDIS_TIMEOUT_MS": "1000",
}
"""Times that a test can wait for."""


class Program:
    """One running process. `mark` is in its environment and in that of all its descendants."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, mark: dict[str, str]) -> None:
        self.process = process
        self.mark = mark
        self._log = log

    @property
    def text(self) -> str:
        """All that it has written."""
        return self._log.read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines with this event, so far."""
        found = []
        for text in self._log.read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # half a line, or what the interpreter says
            if line["event"] == event:
                found.append(line)
        return found

    async def said(self, event: str, timeout: float = 20.0) -> dict[str, Any]:
        """The first log line with this event, once it is there."""

        def look() -> list[dict[str, Any]]:
            assert self.lines(event) or self.process.poll() is None, self._log.read_text()
            return self.lines(event)

        return (await until(look, f"the log says {event}", timeout))[0]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    async def ended(self, timeout: float = 15.0) -> int:
        """The exit status, once it has ended by itself."""
        await until(lambda: self.process.poll() is not None, "the process has ended", timeout)
        return int(self.process.returncode)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


Way = Literal["redis", "http"]
NO_STORE = "redis://127.0.0.1:1/0"


class Programs:
    """Starts processes on one store; variables are settings without their prefix.

    way: how workers reach the queue. Over HTTP they know no store, and `queue_api` is started for the first.
    tree: whose code is run.
    """

    tree = ROOT

    def __init__(self, redis_url: str, folder: Path, way: Way = "redis") -> None:
        self.settings = {**QUICK, "REDIS_URL": redis_url, "DATA_DIR": str(folder / "data")}
        self._folder = folder
        self.api_port = str(free_port())
        self.way = way
        self.queue_api: Program | None = None
        self.started: list[Program] = []

    def start(self, module: str, *, before: Sequence[str] = (), **variables: str) -> Program:
        """before: what stands in front of the command, like one that runs it elsewhere."""
        mark = new_mark()
        settings = {f"SLUICEGATE_{name}": text for name, text in {**self.settings, **variables}.items()}
        log = self._folder / f"{len(self.started)}-{module}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", module],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": python_path(self.tree), **settings, **mark},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.started.append(Program(process, log, mark))
        return self.started[-1]

    async def worker(self, name: str = "worker-1", *, deaf: bool = False, **variables: str) -> Program:
        """The worker of tests/support/worker_program.py, once it works. deaf: no push reaches it."""
        variables = {**await self.reach(), **variables}
        before = ("env", "TEST_DEAF=1") if deaf else ()
        program = self.start("tests.support.worker_program", before=before, WORKER_ID=name, **variables)
        await program.said("worker.started")
        return program

    async def reach(self) -> dict[str, str]:
        """What a worker has to be told to reach the queue."""
        if self.way == "redis":
            return {}
        if self.queue_api is None:
            await self.start_api()
        return {"URL": f"http://127.0.0.1:{self.api_port}", "REDIS_URL": NO_STORE}

    async def start_api(self) -> Program:
        """The `queue_api` that workers are told of, always at the same address."""
        self.queue_api = self.start("services.queue_api", QUEUE_API_PORT=self.api_port)
        await self.queue_api.said("service_listening")
        return self.queue_api

    async def sweeper(self) -> Program:
        program = self.start("services.sweeper")
        await program.said("sweeper.started")
        return program

    async def service(self, name: str, **variables: str) -> tuple[Program, str]:
        """queue_api or control, and its address."""
        program = self.start(f"services.{name}", **variables)
        line = await program.said("service_listening")
        return program, f"http://{line['host']}:{line['port']}"


@contextmanager
def programs(redis_url: str, folder: Path, way: Way = "redis") -> Iterator[Programs]:
    """All that was started is killed at the end, if it still runs."""
    started = Programs(redis_url, folder, way)
    try:
        yield started
    finally:
        for program in started.started:
            program.process.send_signal(signal.SIGCONT)
            program.kill()
