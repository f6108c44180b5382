"""Signals a tree, and knows when it is empty."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import select
import time

from .cgroup import Cgroup
from .tree import Family, Tree

KILL_REPORT_SECONDS = 5.0
"""What SIGKILL has not ended by then is called a survivor: another user's, or stuck in the kernel."""
SCANS, SCANS_SECONDS = 3, 0.05
"""A tree is read again after a signal, for forks in between; not endlessly, or a handler's own clean-up
commands, started on SIGINT, would be interrupted too."""
STOP_SCANS = 1000
NAMES = {getattr(signal, name): name for name in ("SIGINT", "SIGTERM", "SIGKILL", "SIGSTOP", "SIGCONT")}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Reaper:
    """Signals a tree, and knows when it is empty."""

    def __init__(self, control: int, tree: Tree, cgroup: Cgroup | None, litter: str = "") -> None:
        self.control, self.tree, self.cgroup, self.litter = control, tree, cgroup, litter
        self.main = 0
        self.wake, wakeup = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    def tell(self, words: str) -> None:
        try:  # noqa: SIM105 - contextlib takes milliseconds to import
            os.write(self.control, words.encode() + b"\n")
        except OSError:
            pass  # the worker is gone, and its end of file is on the way

    def nothing_left(self) -> bool:
        """Reap what has ended. True once no descendant is left, and nothing in the cgroup."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.main:
                    self.main = 0
                    self.main_ended(ended[1])
        except ChildProcessError:
            if isinstance(self.tree, Family):
                time.sleep(0.02)  # nothing wakes us for processes that are not our children
                return not self.tree.processes()
            if self.cgroup is None or not self.cgroup.populated:
                return True
            time.sleep(0.02)  # somebody who is no descendant was put into it
        return False

    def main_ended(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.tell(f"exited {code} -" if code >= 0 else f"exited - {-code}")

    def signal(self, number: int) -> None:
        """Once to every process of the tree, those forked meanwhile included."""
        at, began = now_ms(), time.monotonic()
        reached: set[int] = set()
        stops = number == signal.SIGSTOP
        for _ in range(STOP_SCANS if stops else SCANS):
            entries = self.tree.processes()
            fresh = [entry.pid for entry in entries if entry.pid not in reached]
            reached.update(pid for pid in fresh if delivered(pid, number))
            if not fresh and (not stops or all(entry.still for entry in entries)):
                break
            if not stops and time.monotonic() - began > SCANS_SECONDS:
                break
        self.tell(f"signalled {NAMES[number]} {len(reached)} {at}")

    def kill(self) -> None:
        """SIGKILL the tree again and again until none of it is left; then this process ends."""
        at, began, told = now_ms(), time.monotonic(), False
        reached: set[int] = set()
        if self.main:
            # Freeze the command's own group before reading the tree: a hundred busy processes would leave
            # us little of the processor to read it with. Unreaped, the number is still its own.
            delivered(-self.main, signal.SIGSTOP)
        while not self.nothing_left():
            entries = self.tree.processes()
            if self.cgroup is not None:
                reached.update(self.cgroup.kill())  # first, since it reaches other users' too
            # Whole groups first: that is atomic, where reading and killing one by one may lose a race
            # against a storm of forks. Never the guard's own group; 0 is one of another namespace.
            for group in {entry.group for entry in entries if entry.group > 1} - {os.getpgrp()}:
                delivered(-group, signal.SIGKILL)
            reached.update(entry.pid for entry in entries if delivered(entry.pid, signal.SIGKILL))
            if not told and time.monotonic() - began > KILL_REPORT_SECONDS:
                told = True
                self.tell(f"signalled SIGKILL {len(reached)} {at}")
                left = " ".join(str(entry.pid) for entry in self.tree.processes())
                self.tell(f"survivors {now_ms()} {left}")
            self.sleep(0.2 if told else 0.02)
        if told:
            self.leave()
        if reached:
            self.tell(f"signalled SIGKILL {len(reached)} {at}")
        self.end()

    def end(self) -> None:
        for stream in (0, 1, 2):
            os.close(stream)  # before the last word: then the worker reads the output to its very end
        self.tell(f"empty {now_ms()}")
        self.leave()

    def leave(self) -> None:
        """The end of this process."""
        if self.cgroup is not None:
            self.cgroup.remove()
        if self.litter:
            clear_away(self.litter)
        os._exit(0)

    def sleep(self, seconds: float | None, *others: int) -> list[int]:
        """Until a child ends, one of `others` can be read, or the time is up; says which can be read."""
        ready = select.select([self.wake, *others], [], [], seconds)[0]
        if self.wake in ready:
            os.read(self.wake, 65536)
        return [each for each in ready if each != self.wake]


def clear_away(folder: str) -> None:
    """A folder without folders in it."""
    try:
        for name in os.listdir(folder):  # noqa: PTH208
            os.unlink(f"{folder}/{name}")  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106
    except OSError:
        pass  # gone already, or no longer what it was


def delivered(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False  # it has ended, or it is another user's
    return True
