"""Runs a command that cannot outlive the process that started it, on Linux.

    python -I -S tether.py <signal> <parent pid> <command> [argument ...]

The kernel sends <signal> to the command when its parent ends, however it ends (PR_SET_PDEATHSIG, which
survives exec). The parent is the *thread* that started the command: start it from one that stays.
Elsewhere than on Linux the command runs untethered. Stands alone: it imports nothing of the package, so that
it costs 20 ms and not the start of an application.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(signal_number: int, parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        # It ended between the fork and the prctl: no signal will come any more.
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  (no shell: the arguments stay what they are)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
