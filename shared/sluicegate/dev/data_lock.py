"""Locks on a data folder: one `dev` and one store at a time, also after a `kill -9`.

Two files, both locked with flock, which the kernel frees with the last process that holds it:

    dev.lock     held by the process that runs `sluicegate dev`, not by its children
    store.lock   inherited by the store's process alone, so a free lock proves that no store writes here

Each file holds its holder's process id, for messages and for taking over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType


class DataLock:
    """One locked file. A child that is to hold the lock gets `descriptor` through `pass_fds`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether the lock is held now; False when another process holds it. Never waits."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError(f"{self.path} is not locked by this process")
        return self._descriptor

    def name_holder(self, pid: int) -> None:
        """Write who holds it. Only while held: the text of a free lock means nothing."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{pid}\n".encode(), 0)

    def holder(self) -> int | None:
        """The process id in the file, None when there is none (its holder has just started)."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.path.read_text())
        return None

    def let_go(self) -> None:
        """Close this process's hold; a child that inherited it keeps the lock. Twice is once."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> DataLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
