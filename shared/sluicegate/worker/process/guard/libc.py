"""What Python has no words for. ctypes is imported on first use: mode `group` has no use for its 4 ms."""

from __future__ import annotations

import os

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SYS_CLONE3 = 435
CLONE_INTO_CGROUP = 0x2_0000_0000


def prctl(option: int, value: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def fork_into(folder: int, exit_signal: int) -> int:
    """As os.fork, but the child is in this cgroup from its beginning. folder: its open folder.

    To be written into a cgroup afterwards takes 10 to 30 ms, in which the kernel waits for all processors.
    For a process with one thread whose child does little but exec: nobody tells Python that it was forked.
    """
    import ctypes

    fields = (CLONE_INTO_CGROUP, 0, 0, 0, exit_signal, 0, 0, 0, 0, 0, folder)
    arguments = (ctypes.c_uint64 * len(fields))(*fields)
    libc = ctypes.PyDLL(None, use_errno=True)  # it keeps Python's lock: there is no other thread to wait for
    pid = int(libc.syscall(SYS_CLONE3, arguments, ctypes.sizeof(arguments)))
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return pid
