"""A cgroup of a command's own, where one can be made (Linux, cgroup v2): the kernel counts and kills it.

It adds to the tree of descendants what that cannot do: `cgroup.kill` ends processes of other users too, which
no signal of ours reaches, and those in sessions of their own when both guard processes were killed at once.
It takes nothing's place: whoever may write to cgroups can leave one, but nobody leaves his ancestors.
"""

from __future__ import annotations

import fcntl
import os
import time

PREFIX = "sluicegate-"


class Cgroup:
    """Locked while a guard process lives: one whose lock can be taken was left behind."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = -1

    @property
    def name(self) -> str:
        return os.path.basename(self.path)  # noqa: PTH119

    def lock(self) -> None:
        """Until `close` here and in all that have inherited it. Raises OSError when another has it."""
        self.folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self.folder, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        if self.folder >= 0:
            os.close(self.folder)
            self.folder = -1

    def processes(self) -> list[int]:
        found = []
        for place in below(self.path):
            found += [int(pid) for pid in read(f"{place}/cgroup.procs").split() if pid != b"0"]
        return found

    def kill(self) -> list[int]:
        """SIGKILL to everything in it and below it, also to what is being forked; whom that reached."""
        found = self.processes()
        if found:
            try:
                write(f"{self.path}/cgroup.kill", b"1")
            except OSError:
                return []
        return found

    def end(self) -> int:
        """Kill what is in it, a second long, and remove it; how many processes that was."""
        reached: set[int] = set()
        for _ in range(100):
            reached.update(self.kill())
            if not self.populated:
                break
            time.sleep(0.01)
        self.remove()
        return len(reached)

    @property
    def populated(self) -> bool:
        """Whether anything lives in it; zombies do not count."""
        return b"populated 1" in read(f"{self.path}/cgroup.events")

    def remove(self) -> None:
        """With those that were made inside it; nothing while it is populated."""
        for place in reversed(below(self.path)):
            try:
                os.rmdir(place)  # noqa: PTH106
            except OSError:
                return


def home() -> str:
    """The folder of this process's cgroup if others can be made in it, else `-`.

    Not where systemd manages it and has not delegated it (Delegate=yes): then systemd is its only writer.
    """
    try:
        folder = _own()
        if folder is None or (_managed() and b"1" not in _delegation(folder)):
            return "-"
        made = make(folder)
    except OSError:
        return "-"
    if made is None:
        return "-"
    made.remove()
    made.close()
    return folder


def make(folder: str) -> Cgroup | None:
    """A new one in this folder, locked; None where that is not allowed. Kept by forks, closed on exec."""
    if folder == "-":
        return None
    path = f"{folder}/{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
    try:
        os.mkdir(path, 0o755)  # noqa: PTH102
    except OSError:
        return None
    made = Cgroup(path)
    try:
        made.lock()
    except OSError:
        return None  # taken for one that was left, in the moment between
    if not os.access(f"{path}/cgroup.kill", os.W_OK):  # before Linux 5.14
        made.remove()
        return None
    return made


def end_abandoned(folder: str) -> int:
    """End what is left of workers that were killed with all their guards; how many processes that was."""
    ended = 0
    for name in os.listdir(folder) if folder != "-" else ():  # noqa: PTH208
        if name.startswith(PREFIX):
            left = Cgroup(f"{folder}/{name}")
            try:
                left.lock()
                ended += left.end()
            except OSError:
                pass  # its guard lives, or has removed it just now
            left.close()
    return ended


def below(path: str) -> list[str]:
    """The cgroup and all within it, outer ones first."""
    found = [path]
    for place in found:
        try:
            with os.scandir(place) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            pass  # removed meanwhile
    return found


def read(path: str) -> bytes:
    """All of the file; nothing when its cgroup is gone."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(file, 65536):
            parts.append(part)
    except OSError:
        return b""
    finally:
        os.close(file)
    return b"".join(parts)


def write(path: str, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def _own() -> str | None:
    """Where the cgroup of this process is mounted: `0::<path>`, below the mount that shows it."""
    paths = [line[3:].decode() for line in read("/proc/self/cgroup").splitlines() if line.startswith(b"0::")]
    for line in read("/proc/self/mountinfo").splitlines():
        fields, _, tail = line.decode().partition(" - ")
        if paths and tail.startswith("cgroup2 "):
            root, point = fields.split()[3:5]
            if (paths[0] + "/").startswith(root.rstrip("/") + "/"):
                return point + paths[0].rstrip("/")[len(root.rstrip("/")) :]
    return None


def _managed() -> bool:
    return os.path.isdir("/run/systemd/system")  # noqa: PTH112


def _delegation(folder: str) -> list[bytes]:
    found = []
    for name in ("user.delegate", "trusted.delegate"):
        try:
            found.append(os.getxattr(folder, name))
        except (OSError, AttributeError):
            continue
    return found
