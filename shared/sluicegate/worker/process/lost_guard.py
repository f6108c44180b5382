"""What can still be done for a command whose guard was killed, both of its processes at once.

The kernel has killed the command itself (PR_SET_PDEATHSIG), and its process group is killed here. A
descendant that made a group of its own is out of reach: nothing tells any more that it was ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Final

from sluicegate.worker.process import guard

PATIENCE_SECONDS: Final = 5.0


async def end_group(group: int) -> list[int]:
    """SIGKILL to the group until it is empty; the process ids that are left after 5 s, usually none."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while left := members(group):
        if asyncio.get_running_loop().time() > deadline:
            return left
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
        await asyncio.sleep(0.02)  # they are not our children: nothing wakes us
    return []


def members(group: int) -> list[int]:
    table = guard.everyone() if guard.has_proc() else guard.listed_by_ps()
    return [entry.pid for entry in table.values() if entry.group == group and entry.alive]
