"""Process trees, as the system shows them: whose child is whose, and what each is doing."""

from __future__ import annotations

import os

COMMAND_BYTES = 512
"""Of a command line, to be told: arguments may be megabytes."""


class Entry:
    """One process: its parent, its group; whether it has not ended, runs nothing now, was stopped."""

    def __init__(self, pid: int, parent: int, group: int, state: str) -> None:
        self.pid, self.parent, self.group = pid, parent, group
        self.alive, self.still = state[0] not in "ZX", state[0] in "TtD"
        self.stopped = state[0] == "T"


class Tree:
    """All descendants of a process, read from /proc. Reading races with forks: callers read again."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.by_children = os.path.exists(f"/proc/{root}/task/{root}/children")  # noqa: PTH110

    def processes(self) -> list[Entry]:
        """Parents before children; without zombies."""
        pids = below(self.root, None if self.by_children else everyone())
        return [entry for entry in map(entry_of, pids) if entry is not None and entry.alive]


class Family(Tree):
    """The same without a subreaper: main's descendants, its group, every group once seen among them."""

    def __init__(self, root: int) -> None:
        self.root, self.groups = root, {root}

    def processes(self) -> list[Entry]:
        table = listed_by_ps()
        pids = {self.root, *below(self.root, table)}
        self.groups |= {table[pid].group for pid in pids if pid in table} - {os.getpgrp()}
        mine = (entry for entry in table.values() if entry.pid in pids or entry.group in self.groups)
        return [entry for entry in mine if entry.alive]


def below(root: int, table: dict[int, Entry] | None) -> list[int]:
    """All descendants of root, once each, parents first; without a table as /proc shows them."""
    pids = [root]
    for pid in pids:
        if table is None:
            pids += children_of(pid)
        else:
            pids += [entry.pid for entry in table.values() if entry.parent == pid]
    return list(dict.fromkeys(pids[1:]))


def children_of(pid: int) -> list[int]:
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            found += read(f"/proc/{pid}/task/{thread}/children").split()
    except OSError:
        pass  # it ended meanwhile; its children are the guard's now and turn up in the next reading
    return [int(child) for child in found]


def everyone() -> dict[int, Entry]:
    """Every process of the system, for kernels built without /proc/<pid>/task/<tid>/children."""
    found = map(entry_of, (int(name) for name in os.listdir("/proc") if name.isdigit()))  # noqa: PTH208
    return {entry.pid: entry for entry in found if entry is not None}


def has_proc() -> bool:
    return os.path.exists("/proc/self/stat")  # noqa: PTH110


def listed_by_ps() -> dict[int, Entry]:
    import subprocess

    rows = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,state="], stdout=-1, stdin=-3, stderr=-3, check=False
    ).stdout
    fields = (row.split() for row in rows.decode().splitlines())
    return {int(pid): Entry(int(pid), int(parent), int(group), state) for pid, parent, group, state in fields}


def entry_of(pid: int) -> Entry | None:
    try:
        # the name, in brackets, may hold anything
        state, parent, group = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:3]
        if state == b"Z" and len(os.listdir(f"/proc/{pid}/task")) > 1:  # noqa: PTH208
            state = b"R"  # only its first thread has ended
    except (OSError, ValueError):
        return None
    return Entry(pid, int(parent), int(group), state.decode())


def read(path: str, most: int = 65536) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, most)
    finally:
        os.close(file)


def command_line(pid: int) -> tuple[bytes, bool]:
    """What a process was started as, its words apart by spaces, and whether that is all of it."""
    if not has_proc():
        return told_by_ps(pid)
    try:
        words = read(f"/proc/{pid}/cmdline", COMMAND_BYTES + 1)
        if not words:  # a kernel's own, or between its end and its burial
            words = b"[" + read(f"/proc/{pid}/comm").strip() + b"]"
    except OSError:
        return b"", True
    return words[:COMMAND_BYTES].rstrip(b"\0").replace(b"\0", b" "), len(words) <= COMMAND_BYTES


def told_by_ps(pid: int) -> tuple[bytes, bool]:
    import subprocess

    line = subprocess.run(
        ["ps", "-ww", "-p", str(pid), "-o", "command="], stdout=-1, stdin=-3, stderr=-3, check=False
    ).stdout.strip()
    return line[:COMMAND_BYTES], len(line) <= COMMAND_BYTES
