"""Starts the command, obeys the worker, and climbs the ladder of signals."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import select
import time

from . import libc
from .cgroup import Cgroup
from .reaper import Reaper
from .tree import Family, Tree, command_line

LINGER_SECONDS = 0.2
LEFTOVER_GRACE_SECONDS = 1.0
FIRST_LOOK_SECONDS = 0.1
TOLD_PROCESSES = 50
"""So many of a tree are told by name: all of it must fit into a socket that nobody reads just now."""


class Holder(Reaper):
    """Starts the command, obeys the worker, and climbs the ladder of signals."""

    def __init__(
        self, control: int, cgroup: Cgroup | None, adopts: bool, terminal: bool, litter: str
    ) -> None:
        super().__init__(control, Tree(os.getpid()), cgroup, litter)
        self.adopts, self.terminal = adopts, terminal
        self.ladder: list[tuple[float, int]] = []  # seconds to wait, then the signal
        self.since = 0.0
        self.apart = self.look_at = 0.0
        self.stopping = self.paused = False
        self.heard = b""

    def run(self) -> None:
        self.start(*self.request())
        while not self.nothing_left():
            remaining = None
            if self.ladder:
                remaining = max(0.0, self.since + self.ladder[0][0] - time.monotonic())
                if not remaining:
                    self.climb()
                    continue
                if self.apart:
                    remaining = min(remaining, self.look())
            if self.sleep(remaining, self.control) and not self.obey():
                self.kill()
        self.end()

    def request(self) -> tuple[list[bytes], list[bytes]]:
        while b"\n" not in self.heard:
            self.hear()
        head, _, self.heard = self.heard.partition(b"\n")
        count, length = map(int, head.split())
        while len(self.heard) < length:
            self.hear()
        fields = self.heard[:length].split(b"\0")
        self.heard = b""
        return fields[: count + 1], fields[count + 1 :]

    def hear(self) -> None:
        more = os.read(self.control, 65536)
        if not more:
            self.leave()
        self.heard += more

    def start(self, command: list[bytes], variables: list[bytes]) -> None:
        environment = dict(variable.split(b"=", 1) for variable in variables)
        failure, failed = os.pipe()
        try:
            self.main = self.fork()
        except OSError as error:
            self.tell(f"failed fork {error.errno}")
            self.leave()
        if not self.main:
            self.become(command, environment, failed)
        os.close(failed)
        # Any word now is the end of file: the worker speaks again only after `started`.
        if self.control in select.select([failure, self.control], [], [])[0]:
            self.kill()
        if why := os.read(failure, 100).decode():
            self.tell(f"failed {why}")
            os.waitpid(self.main, 0)
            self.leave()
        os.close(failure)
        if not self.adopts:
            self.tree = Family(self.main)
        self.tell(f"started {self.main} {os.getpid()} {self.cgroup.name if self.cgroup else '-'}")

    def fork(self) -> int:
        """Into the cgroup, if that is allowed; else there is none."""
        if self.cgroup is not None:
            try:
                return libc.fork_into(self.cgroup.folder, signal.SIGCHLD)
            except OSError:
                self.cgroup.remove()
                self.cgroup = None
        return os.fork()

    def become(self, command: list[bytes], environment: dict[bytes, bytes], failed: int) -> None:
        """In the child: a group of its own, in the foreground of the terminal, with default signals."""
        stage = "exec"
        try:
            if self.adopts:
                libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setpgid(0, 0)
            if self.terminal:
                os.tcsetpgrp(0, os.getpid())
            for name in ("SIGPIPE", "SIGXFSZ", "SIGTTOU"):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            stage = "chdir"
            os.chdir(command[0])
            stage = "exec"
            os.execvpe(command[1], command[1:], environment)  # noqa: S606
        except OSError as error:
            os.write(failed, f"{stage} {error.errno}".encode())
        finally:
            os._exit(127)

    def obey(self) -> bool:
        """What the worker says; False at its end of file."""
        try:
            more = os.read(self.control, 4096)
        except ConnectionError:
            more = b""
        *lines, self.heard = (self.heard + more).split(b"\n")
        for line in lines:
            word, *graces = line.split()
            if word == b"stop" and not self.stopping:
                self.stopping = True
                self.tell_tree()
                first, second = map(float, graces)
                self.since = time.monotonic()
                self.ladder = [(0.0, signal.SIGINT), (first, signal.SIGTERM), (second, signal.SIGKILL)]
            elif word in (b"pause", b"resume"):
                self.paused = word == b"pause"
                self.signal(signal.SIGSTOP if self.paused else signal.SIGCONT)
        return bool(more)

    def tell_tree(self) -> None:
        """What is running now, to be held against what is left in the end."""
        lines = []
        for entry in self.tree.processes()[:TOLD_PROCESSES]:
            command, whole = command_line(entry.pid)
            lines.append(f"process {entry.pid} {entry.parent} {'whole' if whole else 'cut'} {command.hex()}")
        if lines:
            self.tell("\n".join(lines))

    def climb(self) -> None:
        _, number = self.ladder.pop(0)
        self.since = time.monotonic()
        if number == signal.SIGKILL:
            self.kill()
        self.signal(number)
        self.apart, self.look_at = FIRST_LOOK_SECONDS, self.since

    def look(self) -> float:
        """Continue what was stopped, by us, by itself or by its terminal: it takes no signal until then.

        Some stop only now. Looks ever more seldom until the next signal; returns in how many seconds.
        """
        now = time.monotonic()
        if now >= self.look_at:
            if self.paused or any(entry.stopped for entry in self.tree.processes()):
                self.paused = False
                self.signal(signal.SIGCONT)
            self.look_at = now + self.apart
            self.apart *= 2
        return self.look_at - now

    def main_ended(self, status: int) -> None:
        super().main_ended(status)
        if not self.stopping:
            self.since = time.monotonic()
            self.ladder = [(LINGER_SECONDS, signal.SIGTERM), (LEFTOVER_GRACE_SECONDS, signal.SIGKILL)]
