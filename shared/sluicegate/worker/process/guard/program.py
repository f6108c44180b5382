"""The program: two processes that take their places, the stand-by above the holder."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # without its enums: 6 of 20 ms of a start
import fcntl
import os
import sys
import termios

from . import cgroup, libc
from .holder import Holder
from .reaper import Reaper
from .tree import Tree

CAUGHT = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCHLD")


def main() -> None:
    inherited, adopts, terminal = int(sys.argv[1]), sys.argv[2] == "subreaper", sys.argv[3] == "pty"
    control = os.dup(inherited)  # a low number, for select, and closed on exec: the command must not hold it
    os.close(inherited)
    # Handlers instead of SIG_IGN: exec resets them, so the command gets the defaults even where the worker
    # was started with SIGINT ignored, as a shell does for what it runs in the background.
    for name in CAUGHT:
        signal.signal(getattr(signal, name), lambda _number, _frame: None)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    group, litter = cgroup.make(sys.argv[4]), sys.argv[5]
    if adopts:
        libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
        holder = os.fork()
        if holder:
            stand_by(control, holder, group, litter)
        libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
        os.setsid()
    if terminal:
        # The holder, not the command, leads the session: a leader's exit hangs the terminal up, and what a
        # shell left in the background to finish its output would lose it.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    Holder(control, group, adopts, terminal, litter).run()


def stand_by(control: int, holder: int, group: cgroup.Cgroup | None, litter: str) -> None:
    """Wait for the holder; unless it ended with its work done, end what it left."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    ended, status = os.waitpid(-1, 0)
    while ended != holder:
        ended, status = os.waitpid(-1, 0)
    if status:
        Reaper(control, Tree(os.getpid()), group, litter).kill()
    os._exit(0)
