"""The worker's end of a guard: starts it, speaks its words, hears its reports.

Closing the link, or losing it in any way, makes the guard kill the command's whole tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from sluicegate.worker.process.guard import cgroup
from sluicegate.worker.process.guard.cgroup import Cgroup

# Imported rather than run as a file, so that its compiled form is cached: 7 of 25 ms.
PROGRAM: Final = "import sys; sys.path.append(sys.argv.pop(1)); from guard.program import main; main()"
MODE = "subreaper" if sys.platform == "linux" else "group"
cgroups = cache(cgroup.home)
"""Where the commands of this process get their cgroups; `-` for nowhere."""


def end_abandoned() -> int:
    """End the commands of workers that were killed together with their guards; how many processes that was.

    Only where commands have cgroups. Blocks for up to a second for each of them.
    """
    return cgroup.end_abandoned(cgroups())


class GuardLink:
    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._holder: int | None = None
        self.cgroup: Cgroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = b""

    @property
    def pid(self) -> int:
        """Of the guard: the command and all that it starts are its descendants."""
        return self._process.pid

    @classmethod
    def open(
        cls, stdin: int, stdout: int, stderr: int, *, pty: bool, litter: Path | None = None
    ) -> GuardLink:
        """Start a guard that holds these files for its command, and removes the litter in the end.

        Raises OSError; then nothing was started.
        """
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-I", "-S", "-c", PROGRAM, str(Path(__file__).parent)]
        argv += [str(theirs.fileno()), MODE, "pty" if pty else "pipes", cgroups(), str(litter or "")]
        try:
            process = subprocess.Popen(
                argv, stdin=stdin, stdout=stdout, stderr=stderr, cwd="/",
                pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    async def request(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        """Send the command. Raises OSError when the guard has ended."""
        texts = [str(cwd), *argv, *(f"{name}={value}" for name, value in env.items())]
        body = b"\0".join(map(os.fsencode, texts))
        head = f"{len(argv)} {len(body)}\n".encode()
        await asyncio.get_running_loop().sock_sendall(self._control, head + body)

    def listen(self, on_report: Callable[[list[str]], None], on_end: Callable[[], None]) -> None:
        """Call on_report with the words of each line, then on_end once, when the guard is gone."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._control, self._hear, on_report, on_end)

    def met(self, holder: int, cgroup_name: str) -> None:
        """The command runs, under this holder, in this cgroup of its own (`-` for none)."""
        self._holder = holder
        if cgroup_name != "-":
            self.cgroup = Cgroup(f"{cgroups()}/{cgroup_name}")

    def wake(self) -> None:
        """Continue the guard, should it have been stopped."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            if self._holder is not None:
                with contextlib.suppress(OSError):
                    os.kill(self._holder, signal.SIGCONT)

    def say(self, words: str) -> None:
        """At once, without waiting; nothing when the guard is gone."""
        with contextlib.suppress(OSError):
            self._control.send(words.encode() + b"\n")

    def cut(self) -> None:
        """Make the guard kill the tree, and still hear its reports."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._stop_listening()
        self._control.close()

    def kill(self) -> None:
        """End the guard itself, when nothing is left that it would have to end."""
        if self._process.poll() is None:
            self._process.kill()

    async def ended(self) -> None:
        """The guard has been reaped. Only after on_end: it lets go of the link by ending."""
        if self._process.poll() is None:
            await asyncio.to_thread(self._process.wait)

    def reap_later(self) -> None:
        """For a guard that may go on for long: it still has survivors to kill."""
        if self._process.poll() is None:
            threading.Thread(target=self._process.wait, name="guard-reaper", daemon=True).start()

    def _hear(self, on_report: Callable[[list[str]], None], on_end: Callable[[], None]) -> None:
        try:
            more = self._control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        *lines, self._heard = (self._heard + more).split(b"\n")
        for line in lines:
            on_report(line.decode().split())
        if not more:
            self._stop_listening()
            on_end()

    def _stop_listening(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._control)
        self._loop = None
