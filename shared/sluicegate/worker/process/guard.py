"""Holds one command for a worker: a signal reaches its whole tree, and no tree outlives the worker.

A program of its own, run as `python -I -S` with the arguments CONTROL subreaper|group pty|pipes. It imports
nothing of Sluicegate and as little else as it can, since every command waits for it to start. CONTROL is the
number of an inherited socket. What it gets as stdin, stdout and stderr become the command's.

Two processes, so that `kill -9` of either leaves no orphan. The *holder* starts the command; the *stand-by*
is the holder's parent and kills what it inherits when the holder dies. Both are child subreapers: a daemon
whose parents have ended becomes their child, never init's, so "no child left" is exactly "the tree is empty".
Where there are no subreapers (macOS), mode `group` has a holder only. It watches the command's process group,
its descendants and every group it once saw among them: a daemon that detached unseen escapes it.

The worker first sends `<argc> <bytes>` and a body of that length: cwd, argv and environment, joined by NUL.
Then one line each:
    stop <seconds> <seconds>   SIGINT now, SIGTERM and SIGKILL after these graces; a second one is ignored
    pause | resume             SIGSTOP, SIGCONT to the whole tree
    end of file                SIGKILL until nothing is left: the worker has died, or wants no grace
It hears, one line each, times in ms since the epoch:
    started <pid>              or failed <chdir|exec|fork> <errno>
    signalled <name> <processes> <ms>
    exited <code|-> <signal|-> the command itself, as it happens
    empty <ms>                 or survivors <ms> <pid>...: the last word, but then the guard goes on trying

When the command ends by itself, what it left behind gets 0.2 s to end (a `tee` behind a shell still has
output to write), then SIGTERM, a second later SIGKILL.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # without its enums: 6 of 20 ms of a start
import fcntl
import os
import select
import sys
import termios
import time

LINGER_SECONDS = 0.2
LEFTOVER_GRACE_SECONDS = 1.0
KILL_REPORT_SECONDS = 5.0
"""What SIGKILL has not ended by then is called a survivor: another user's, or stuck in the kernel."""
SCANS, SCANS_SECONDS = 3, 0.05
"""A tree is read again after a signal, for forks in between; not endlessly, or a handler's own clean-up
commands, started on SIGINT, would be interrupted too."""
STOP_SCANS = 1000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
NAMES = {getattr(signal, name): name for name in ("SIGINT", "SIGTERM", "SIGKILL", "SIGSTOP", "SIGCONT")}
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
    if adopts:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        holder = os.fork()
        if holder:
            stand_by(control, holder)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        os.setsid()
    if terminal:
        # The holder, not the command, leads the session: a leader's exit hangs the terminal up, and what a
        # shell left in the background to finish its output would lose it.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    Holder(control, adopts, terminal).run()


def stand_by(control: int, holder: int) -> None:
    """Wait for the holder; unless it ended with its work done, end what it left."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    ended, status = os.waitpid(-1, 0)
    while ended != holder:
        ended, status = os.waitpid(-1, 0)
    if status:
        Reaper(control, Tree(os.getpid())).kill()
    os._exit(0)


def prctl(option: int, value: int) -> None:
    import ctypes  # here, since mode `group` has no use for its 4 ms

    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Entry:
    """One process: its parent, its group, whether it has not ended, and whether it runs nothing now."""

    def __init__(self, pid: int, parent: int, group: int, state: str) -> None:
        self.pid, self.parent, self.group = pid, parent, group
        self.alive, self.still = state[0] not in "ZX", state[0] in "TtD"


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


def read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 65536)
    finally:
        os.close(file)


class Reaper:
    """Signals a tree, and knows when it is empty."""

    def __init__(self, control: int, tree: Tree, main: int = 0) -> None:
        self.control, self.tree, self.main = control, tree, main
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
        """Reap what has ended. True once no descendant is left."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.main:
                    self.main = 0
                    self.main_ended(ended[1])
        except ChildProcessError:
            if not isinstance(self.tree, Family):
                return True
            time.sleep(0.02)  # nothing wakes us for processes that are not our children
            return not self.tree.processes()
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
        """SIGKILL the tree again and again until none of it is left."""
        at, began, told = now_ms(), time.monotonic(), False
        reached: set[int] = set()
        if self.main:
            # Freeze the command's own group before reading the tree: a hundred busy processes would leave
            # us little of the processor to read it with. Unreaped, the number is still its own.
            delivered(-self.main, signal.SIGSTOP)
        while not self.nothing_left():
            entries = self.tree.processes()
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
        if not told:
            if reached:
                self.tell(f"signalled SIGKILL {len(reached)} {at}")
            self.end()

    def end(self) -> None:
        for stream in (0, 1, 2):
            os.close(stream)  # before the last word: then the worker reads the output to its very end
        self.tell(f"empty {now_ms()}")

    def sleep(self, seconds: float | None, *others: int) -> list[int]:
        """Until a child ends, one of `others` can be read, or the time is up; says which can be read."""
        ready = select.select([self.wake, *others], [], [], seconds)[0]
        if self.wake in ready:
            os.read(self.wake, 65536)
        return [each for each in ready if each != self.wake]


class Holder(Reaper):
    """Starts the command, obeys the worker, and climbs the ladder of signals."""

    def __init__(self, control: int, adopts: bool, terminal: bool) -> None:
        super().__init__(control, Tree(os.getpid()))
        self.adopts, self.terminal = adopts, terminal
        self.ladder: list[tuple[float, int]] = []  # seconds to wait, then the signal
        self.since = 0.0
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
            if self.sleep(remaining, self.control) and not self.obey():
                self.kill()
                os._exit(0)
        self.end()
        os._exit(0)

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
            os._exit(0)
        self.heard += more

    def start(self, command: list[bytes], variables: list[bytes]) -> None:
        environment = dict(variable.split(b"=", 1) for variable in variables)
        failure, failed = os.pipe()
        try:
            self.main = os.fork()
        except OSError as error:
            self.tell(f"failed fork {error.errno}")
            os._exit(0)
        if not self.main:
            self.become(command, environment, failed)
        os.close(failed)
        # Any word now is the end of file: the worker speaks again only after `started`.
        if self.control in select.select([failure, self.control], [], [])[0]:
            self.kill()
            os._exit(0)
        if why := os.read(failure, 100).decode():
            self.tell(f"failed {why}")
            os._exit(0)
        os.close(failure)
        if not self.adopts:
            self.tree = Family(self.main)
        self.tell(f"started {self.main}")

    def become(self, command: list[bytes], environment: dict[bytes, bytes], failed: int) -> None:
        """In the child: a group of its own, in the foreground of the terminal, with default signals."""
        stage = "exec"
        try:
            if self.adopts:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
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
                first, second = map(float, graces)
                self.since = time.monotonic()
                self.ladder = [(0.0, signal.SIGINT), (first, signal.SIGTERM), (second, signal.SIGKILL)]
            elif word in (b"pause", b"resume"):
                self.paused = word == b"pause"
                self.signal(signal.SIGSTOP if self.paused else signal.SIGCONT)
        return bool(more)

    def climb(self) -> None:
        _, number = self.ladder.pop(0)
        self.since = time.monotonic()
        if number == signal.SIGKILL:
            self.kill()
            os._exit(0)
        self.signal(number)
        if self.paused:  # a stopped process takes no signal until it is continued
            self.paused = False
            self.signal(signal.SIGCONT)

    def main_ended(self, status: int) -> None:
        super().main_ended(status)
        if not self.stopping:
            self.since = time.monotonic()
            self.ladder = [(LINGER_SECONDS, signal.SIGTERM), (LEFTOVER_GRACE_SECONDS, signal.SIGKILL)]


def delivered(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False  # it has ended, or it is another user's
    return True


if __name__ == "__main__":
    main()
