"""What can still be done for a command whose guard is gone, both processes at once, or does not answer.

Of a guard that is gone the kernel has killed the command itself (PR_SET_PDEATHSIG), and its process group is
killed here, and its cgroup if it has one. Without one, a descendant that made a group of its own is out of
reach: nothing tells any more that it was ours. Under a guard that does not answer all are still to be found.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Final, NamedTuple

from sluicegate.worker.process.guard import tree
from sluicegate.worker.process.guard.cgroup import Cgroup

PATIENCE_SECONDS: Final = 5.0


class Ended(NamedTuple):
    """Process ids: whom SIGKILL reached, and who is left all the same."""

    reached: set[int]
    survivors: list[int]


async def end(guard: int, group: int | None, cgroup: Cgroup | None) -> Ended:
    """SIGKILL until nothing is left, for 5 s. guard: its first process. group: None for none of ours."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    reached: set[int] = set()
    while left := _left(guard, group, cgroup):
        if asyncio.get_running_loop().time() > deadline:
            return Ended(reached, left)
        if cgroup is not None:
            reached.update(cgroup.kill())
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                reached.add(pid)
        await asyncio.sleep(0.02)  # they are not our children: nothing wakes us
    if cgroup is not None:
        cgroup.remove()
    return Ended(reached, [])


def _left(guard: int, group: int | None, cgroup: Cgroup | None) -> list[int]:
    table = tree.everyone() if tree.has_proc() else tree.listed_by_ps()
    pids = {pid for pid in tree.below(guard, table) if pid in table and table[pid].alive}
    pids |= {entry.pid for entry in table.values() if entry.group == group and entry.alive}
    if cgroup is not None:
        pids.update(cgroup.processes())
    return sorted(pids)
