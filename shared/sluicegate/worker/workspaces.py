"""Workspaces: one folder per worker process, locked while it lives, removed by the next if it was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from sluicegate.errors import ConfigurationError

LOCK: Final = "lock"
FOLDER: Final = "worker-"


class Workspaces:
    """This process's folder below `root`. Making it removes the folders of processes that are gone.

    Raises ConfigurationError when `root` cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self._removing = ThreadPoolExecutor(1, "workspaces")
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _locked(root / LOCK):
                left = [folder for folder in root.glob(f"{FOLDER}*") if _is_left(folder)]
                # Process ids repeat: in containers that share a folder even at the same time.
                self._folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=root))
                self._lock = (self._folder / LOCK).open("w")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"no workspaces can be made in {root}: {error.strerror}; "
                "SLUICEGATE_WORKER_DIR names another folder"
            ) from error
        for folder in left:
            self.remove(folder)

    def make(self, job_id: str, token: int) -> Path:
        """A folder for one attempt: the token tells it from an earlier attempt at the same job."""
        folder = self._folder / f"{job_id}-{token}"
        folder.mkdir(exist_ok=True)
        return folder

    def remove(self, folder: Path) -> None:
        """In the background: a big repository takes a while."""
        self._removing.submit(_remove, folder)

    def close(self) -> None:
        self._removing.shutdown()
        _remove(self._folder)
        self._lock.close()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: nobody looks at a folder between its making and its locking."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_left(folder: Path) -> bool:
    """The kernel drops a lock with its process: a lock that can be taken has no owner any more."""
    try:
        with (folder / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True  # its removal was cut short
    except OSError:
        return False
    return True


def _remove(folder: Path) -> None:
    """All of it, also what stands in folders that were made read-only, as some package caches are."""
    shutil.rmtree(folder, ignore_errors=True)
    for place, names, _ in os.walk(folder):
        for name in (".", *names):
            inner = Path(place, name)
            if not inner.is_symlink():
                with contextlib.suppress(OSError):
                    inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
