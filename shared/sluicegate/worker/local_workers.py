"""The workers of this machine that share a folder: which they are, whether they run, how to drain one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final, NamedTuple

from sluicegate.errors import ConfigurationError
from sluicegate.worker.workspaces import FOLDER, LOCK

PROC: Final = Path("/proc")
DRAIN: Final = signal.SIGUSR1


class LocalWorker(NamedTuple):
    """since: when the process began, so that another one with its id is not taken for it."""

    pid: int
    since: str

    @property
    def runs(self) -> bool:
        return _since(self.pid) == self.since

    def ask_to_drain(self) -> None:
        """It claims nothing more and ends when its last job has. May be repeated.

        Raises ConfigurationError for one that the signal would kill: it is still starting, or no worker.
        """
        if not _hears(self.pid):
            raise ConfigurationError(f"process {self.pid} does not hear the signal to drain: is it starting?")
        os.kill(self.pid, DRAIN)


def local_workers(workspaces: Path) -> list[LocalWorker]:
    """Those that work in this folder. Another container may share it: its processes are not among ours."""
    found = []
    for folder in sorted(workspaces.glob(f"{FOLDER}*")):
        pid = folder.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdigit() and _holds(int(pid), folder / LOCK) and (since := _since(int(pid))) is not None:
            found.append(LocalWorker(int(pid), since))
    return found


def _since(pid: int) -> str | None:
    """When a process began, as the system counts; None when it has ended."""
    if sys.platform != "linux":
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return ""
    try:
        state, *fields = (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]


def _holds(pid: int, lock: Path) -> bool:
    """Whether the process has the file open: the lock itself is not tried, since trying would take it."""
    if sys.platform != "linux":
        return lock.exists()
    try:
        held = [path.readlink() for path in (PROC / str(pid) / "fd").iterdir() if path.is_symlink()]
    except OSError:
        return False
    return lock.resolve() in held


def _hears(pid: int) -> bool:
    if sys.platform != "linux":
        return True
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (DRAIN - 1) & 1)
