"""`sluicegate dev` as a process, for stories about a whole deployment."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct

from tests.support.wait import until_sync

READY_SECONDS = 60.0
END_SECONDS = 60.0


class DevProcess(Struct, frozen=True):
    """A deployment that said that it is ready. The log is what all of it wrote to stderr."""

    popen: subprocess.Popen[str]
    log: Path
    url: str
    redis_url: str
    pid: int

    def family(self) -> dict[str, psutil.Process]:
        """Its children by name: store, queue_api, control, sweeper, worker."""
        found = {}
        for each in psutil.Process(self.pid).children():
            # One that has just ended has no command line any more.
            with contextlib.suppress(psutil.NoSuchProcess):
                found[_name(each)] = each
        return found

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; the exit status."""
        self.popen.send_signal(number)
        return self.popen.wait(END_SECONDS)


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "sluicegate", "dev", *flags]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, **(more or {})}


@contextmanager
def dev(data_dir: Path, *flags: str, env: Mapping[str, str] | None = None) -> Iterator[DevProcess]:
    """A deployment on a free port, ready when the block begins; what is left of it ends with the block."""
    log = data_dir.with_name(data_dir.name + ".log")
    with (
        log.open("a") as errors,
        subprocess.Popen(
            command("--port", "0", "--data-dir", str(data_dir), "--json-ready", *flags),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(env),
        ) as popen,
    ):
        try:
            ready = _first_line(popen, log)
            yield DevProcess(popen, log, ready["url"], ready["redisUrl"], ready["pid"])
        finally:
            if popen.poll() is None:
                popen.terminate()
                try:
                    popen.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    popen.kill()


def gone(processes: list[psutil.Process], seconds: float = 10.0) -> None:
    """Wait until none of them runs any more; a zombie waits for its parent and runs no more."""
    until_sync(
        lambda: not [each for each in processes if _runs(each)], "every process of dev is gone", seconds
    )


def _first_line(popen: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert popen.stdout
    line = popen.stdout.readline()
    assert line, f"dev ended with {popen.wait(END_SECONDS)} before it was ready:\n{log.read_text()}"
    ready: dict[str, Any] = json.loads(line)
    return ready


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    # Without words: it is ending, or between its fork and its program.
    words = process.cmdline() or [""]
    if "valkey-server" in words[0]:
        return "store"
    return next((word.removeprefix("services.") for word in words if word.startswith("services.")), words[0])
