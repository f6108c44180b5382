"""One service as a process that is kept running: restarted with a growing wait when it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Final

from msgspec import Struct, field

from sluicegate.dev.embedded_store import LOOPBACK, free_port
from sluicegate.dev.tethered import tethered
from sluicegate.errors import SluicegateError
from sluicegate.log import get

log = get("sluicegate.dev")

FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 5.0
HEALTHY_SECONDS: Final = 30.0
MAX_FAILURES: Final = 6


class Service(Struct, frozen=True, kw_only=True):
    """What to run, and how it is told its port and asked whether it is ready.

    variables: win over those that all services of a deployment get. first_to_stop: it ends before the others.
    """

    name: str
    module: str
    port_variable: str
    ready_path: str = "/readyz"
    stop_seconds: float = 10.0
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    first_to_stop: bool = False


class CrashLoopError(SluicegateError):
    """A service ended time after time, so restarting it again would not help."""

    default_code = "crash_loop"


class ServiceProcess:
    """Runs `python -m <module>` until `stop`, on a free port that is drawn anew at each start.

    Six failures in a row end it with CrashLoopError; thirty seconds of life forget earlier ones. The process
    ends with this one, has its own session (a terminal's Ctrl-C does not reach it), and writes to `output`.
    """

    def __init__(
        self, service: Service, environment: Callable[[], Mapping[str, str]], output: IO[bytes] | int
    ) -> None:
        """environment: asked at each start for the variables that are added to this process's own."""
        self.service = service
        self.port = 0
        self.restarts = 0
        self._environment = environment
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._killed = False

    @property
    def url(self) -> str | None:
        """Where it listens; None while it is not running."""
        return f"http://{LOOPBACK}:{self.port}" if self.pid is not None else None

    @property
    def ready_path(self) -> str:
        return self.service.ready_path

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def keep_running(self) -> None:
        """Return once `stop` or `kill` was called and the process is gone; raises CrashLoopError."""
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            process = await self._spawn()
            if self._stopping.is_set():
                # Asked to stop while the process was being made: the signal found nobody to go to.
                self._signal(signal.SIGTERM)
            status = await process.wait()
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - started > HEALTHY_SECONDS or self._killed else failures + 1
            self._killed = False
            if failures >= MAX_FAILURES:
                raise CrashLoopError(
                    f"{self.service.name} ended {failures} times in a row, last with {describe(status)}; "
                    "its log says why"
                )
            wait = min(FIRST_WAIT_SECONDS * 2**failures, LONGEST_WAIT_SECONDS)
            self.restarts += 1
            log.warning(
                "service_restarting", name=self.service.name, ended=describe(status), wait_seconds=wait
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def stop(self) -> None:
        """Ask it to end, and end it when it does not within its time. Before the start: it never starts."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        process = self._process
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), self.service.stop_seconds)
        except TimeoutError:
            log.warning("service_killed", name=self.service.name, after_seconds=self.service.stop_seconds)
            self._signal(signal.SIGKILL)
            await process.wait()

    def hurry(self) -> None:
        """A second signal: a worker then ends at once, releasing its jobs.

        Another one than that of `stop`: of two equal signals that come together, a process sees one.
        """
        self._stopping.set()
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would: no failure of its own. It is restarted unless `stop` was called."""
        self._killed = self.pid is not None
        self._signal(signal.SIGKILL)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.port = free_port()
        self._process = await asyncio.create_subprocess_exec(
            # -P: a folder named `services` where the user stands must not take the place of ours.
            *tethered([sys.executable, "-P", "-m", self.service.module]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
            env={
                **os.environ,
                **self._environment(),
                **self.service.variables,
                self.service.port_variable: str(self.port),
            },
        )
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def describe(status: int) -> str:
    """`status 3`, or the signal's name when one ended it."""
    if status < 0:
        return signal.Signals(-status).name
    return f"status {status}"
