"""The processes that are measured: each is gone when its block ends, whatever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.subject import Unmeasured
from sluicegate.dev.tethered import tethered
from sluicegate.settings import PREFIX

ROOT: Final = Path(__file__).parents[1]
STOP_SECONDS: Final = 20.0


class Program:
    """A started `python -m <module>`; what it writes goes to its log."""

    def __init__(self, module: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.module = module
        self.pid = process.pid
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raises Unmeasured when it has ended by itself."""
        if self._process.returncode is not None:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
            raise Unmeasured(f"{self.module} ended with status {self._process.returncode}:\n{tail}")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with this event, so far."""
        texts = self._log.read_text(errors="replace").splitlines(keepends=True)
        whole = [json.loads(text) for text in texts if text.startswith("{") and text.endswith("\n")]
        return [line for line in whole if line["event"] == event]

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def running(module: str, environment: Mapping[str, str], folder: Path) -> AsyncIterator[Program]:
    """The settings of whoever measures do not reach it: it has these and the defaults."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    no_file = folder / "none.toml"
    no_file.touch()
    log = folder / f"{module}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", module], end_with=signal.SIGKILL),
            cwd=ROOT,
            env={**own, "SLUICEGATE_CONFIG": str(no_file), **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    program = Program(module, process, log)
    try:
        yield program
    finally:
        await program.stop()


async def until(
    condition: Callable[[], bool | Awaitable[bool]],
    what: str,
    *programs: Program,
    seconds: float = 60.0,
    every_seconds: float = 0.01,
) -> None:
    """Return once the condition is true. Raises Unmeasured: too late, or one of the programs ended."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return
        for program in programs:
            program.check()
        if time.monotonic() > deadline:
            raise Unmeasured(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(every_seconds)
