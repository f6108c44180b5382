"""Which processes of this machine carry a mark: asked of the process table, not of Sluicegate."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

PROC = Path("/proc")


async def processes_of(job_id: str) -> list[int]:
    """The ids of living processes that a job has started."""
    return await processes_with(f"SLUICEGATE_JOB_ID={job_id}")


async def processes_with(mark: str) -> list[int]:
    """The ids of living processes that were started with this variable (`NAME=value`) and did not drop it.

    A variable passes to every descendant, also to one that left its parent, its group and its session.
    """
    if (PROC / "self" / "environ").exists():
        return await asyncio.to_thread(_in_proc, mark.encode())
    return await _in_ps(mark)


def _in_proc(mark: bytes) -> list[int]:
    found = []
    for folder in PROC.iterdir():
        # Others' processes are not readable, and any may end while we look; a zombie has no environment.
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)


async def _in_ps(mark: str) -> list[int]:
    process = await asyncio.create_subprocess_exec(
        "ps", "axeww", "-o", "pid=,command=", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    lines = [line.split() for line in output.decode(errors="replace").splitlines()]
    return sorted(int(words[0]) for words in lines if mark in words[1:])
