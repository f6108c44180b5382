"""A local command that a thread speaks to, ended with whatever waits for it.

Not asyncio's own subprocesses: uvloop forks the whole worker for each, which takes longer than most of these
commands (16 ms and more, where this takes 2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")
Process = subprocess.Popen[bytes]
MOST_THREADS: Final = 64


async def spoken_to(
    argv: Sequence[str],
    talk: Callable[[Process], T],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bool,
    stderr: int = subprocess.PIPE,
) -> T:
    """What `talk` returns, which runs in a thread and has to end when the command does.

    However it goes, the command and what it started in its session are gone when this returns or raises.
    """
    process = _start(argv, cwd, env, stdin, stderr)
    talking = asyncio.get_running_loop().run_in_executor(_threads(), _talk, process, talk)
    try:
        return await asyncio.shield(talking)
    except asyncio.CancelledError:
        _kill(process)
        await asyncio.gather(talking, return_exceptions=True)
        raise


def _start(argv: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: bool, stderr: int) -> Process:
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )


@cache
def _threads() -> ThreadPoolExecutor:
    """Of their own: a command may take minutes, and must not keep the loop's few threads from other work."""
    return ThreadPoolExecutor(MOST_THREADS, "spoken-to")


def _talk(process: Process, talk: Callable[[Process], T]) -> T:
    with process:
        try:
            return talk(process)
        finally:
            _kill(process)


def _kill(process: Process) -> None:
    """Only while it was not waited for: its number may be another's afterwards."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
