"""Cgroups of one's own, where this machine gives them to whoever runs the tests."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.worker.process.guard import cgroup


def require() -> str:
    """The folder in which they can be made; else the test is skipped. No machine owes them to anybody."""
    home = cgroup.home()
    if home == "-":
        pytest.skip("needs a cgroup (version 2) in which others can be made")
    return home


@contextlib.contextmanager
def moved_into_one() -> Iterator[None]:
    """This process and all that it starts, where that is possible.

    So workers of tests that run beside these are in another folder: each looks through its own for what
    killed workers left, and would end and count what is a test's.
    """
    outer, inner = cgroup.home(), None
    with contextlib.suppress(OSError):
        if outer != "-":
            inner = tempfile.mkdtemp(prefix="tests-", dir=outer)
            _move(os.getpid(), inner)
    try:
        yield
    finally:
        if inner is not None:
            for pid in Path(inner, "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):  # it has ended, or this process may not move at all
                    _move(int(pid), outer)
            with contextlib.suppress(OSError):
                Path(inner).rmdir()


def _move(pid: int, folder: str) -> None:
    cgroup.write(f"{folder}/cgroup.procs", str(pid).encode())
