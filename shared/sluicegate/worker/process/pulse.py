"""Whether a process tree is quiet: which processes it has, and how much of the processor it has used."""

from __future__ import annotations

import os
import subprocess
from typing import Final, NamedTuple

from sluicegate.worker.process.guard import tree

TICKS: Final = os.sysconf("SC_CLK_TCK")


class Pulse(NamedTuple):
    """Two are equal in `processes` when between them no process of the tree began, and none ended.

    commands: the command lines of those that run.
    """

    processes: frozenset[tuple[int, ...]]
    commands: frozenset[bytes]
    cpu_seconds: float


def take(root: int) -> Pulse:
    """Of all descendants of `root`. Reads /proc, or runs ps where there is none: not for an event loop."""
    return _from_proc(root) if tree.has_proc() else _from_ps(root)


def _from_proc(root: int) -> Pulse:
    by_children = tree.Tree(root).by_children
    found, commands, ticks = [], set(), 0
    for pid in tree.below(root, None if by_children else tree.everyone()):
        try:
            # The name, in brackets, may hold anything.
            fields = tree.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            commands.add(tree.read(f"/proc/{pid}/cmdline"))
        except OSError:
            continue  # it has ended meanwhile
        started, state = int(fields[19]), fields[0] == b"Z"
        # Faults of the children that it has waited for: what began and ended between two looks is seen too.
        found.append((pid, started, state, int(fields[8])))
        ticks += sum(map(int, fields[11:15]))
    return Pulse(frozenset(found), frozenset(commands), ticks / TICKS)


def _from_ps(root: int) -> Pulse:
    columns = "pid=,ppid=,state=,time=,args="
    rows = subprocess.run(
        ["ps", "-A", "-o", columns], capture_output=True, stdin=subprocess.DEVNULL, check=False
    ).stdout
    table, used = {}, {}
    for row in rows.splitlines():
        pid, parent, state, time, *command = row.split(maxsplit=4)
        table[int(pid)] = tree.Entry(int(pid), int(parent), 0, state.decode())
        used[int(pid)] = (_seconds(time.decode()), b"".join(command))
    pids = tree.below(root, table)
    return Pulse(
        frozenset((pid, table[pid].alive) for pid in pids),
        frozenset(used[pid][1] for pid in pids),
        sum(used[pid][0] for pid in pids),
    )


def _seconds(time: str) -> float:
    """`[[days-]hours:]minutes:seconds`, as ps writes it."""
    days, _, rest = time.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + int(days or 0) * 86_400
