"""One command of an attempt: watched, stoppable, and gone down to its last descendant when it has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from sluicegate.log import log
from sluicegate.redact import Redactor
from sluicegate.times import now_ms
from sluicegate.worker.process import lost_guard, pulse
from sluicegate.worker.process.guard.reaper import KILL_REPORT_SECONDS
from sluicegate.worker.process.guard_link import GuardLink
from sluicegate.worker.process.pulse import Pulse
from sluicegate.worker.process.receipt import Process, Signalled, StopRequest, receipt
from sluicegate.worker.process.streams import OnOutput, Streams

MUTE_SECONDS: Final = KILL_REPORT_SECONDS + 5.0
"""So long after its last signal should have left, a guard that has not told the end is passed over."""

WAKE_SECONDS: Final = 1.0
"""So often a guard is continued. A command may stop all that is its user's, as `kill -STOP -1` does: then
nobody would obey, or tell of the command's end."""


class Grace(Struct, frozen=True, kw_only=True):
    """How long a stopped command has after each signal before the next one."""

    sigint_seconds: float
    sigterm_seconds: float


class CommandResult(Struct, frozen=True, kw_only=True):
    """How a command ended: by `exit_code`, or by the `signal` of this number; the other is None.

    output: the last 64 KiB, raw, of both streams together. receipt: when it was stopped, else None.
    duration_seconds: from its start to its own end, without what was left of its tree.
    """

    exit_code: int | None
    signal: int | None
    output: bytes
    timed_out: bool
    duration_seconds: float
    receipt: dict[str, Any] | None


class CommandNotStarted(Exception):
    """Nothing was started and nothing is left. The message names the program and says why."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"cannot start {program!r}: {reason}")
        self.program = program
        self.reason = reason


class Command:
    """A running command. `pid` leads its process group. `size`: its terminal's, None without one.

    It ends when its whole tree has: `wait` and `stop` return after that, with the last of the output
    delivered. Cancelling either leaves it running: then call `kill_now`. It never outlives this process.
    """

    def __init__(self, link: GuardLink, streams: Streams, grace: Grace, redactor: Redactor) -> None:
        self.pid = 0
        self.size: tuple[int, int] | None = None
        self._link = link
        self._streams = streams
        self._grace = grace
        self._redactor = redactor
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._guard_done = asyncio.Event()
        self._ended = asyncio.Event()
        self._began = self._over = time.monotonic()
        self._status: tuple[int | None, int | None] | None = None
        self._timed_out = False
        self._stop_request: StopRequest | None = None
        self._killed = False
        self._processes: list[Process] = []
        self._signals: list[Signalled] = []
        self._empty_at_ms: int | None = None
        self._survivors: list[int] = []
        self._answers: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._patience: asyncio.TimerHandle | None = None
        self._waking = asyncio.get_running_loop().call_later(WAKE_SECONDS, self._keep_awake)
        self._ending = asyncio.create_task(self._end_with_its_guard())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        pty: bool = True,
        size: tuple[int, int] = (120, 40),
        on_output: OnOutput,
        grace: Grace,
        redactor: Redactor | None = None,
        litter: Path | None = None,
    ) -> Command:
        """Run argv, found in env's PATH, with exactly this environment.

        pty: in a terminal of its own, of `size` columns and rows; else with stdin empty, and stdout and
        stderr apart. on_output is called in the loop and must not block. redactor: knows what a receipt
        must not tell. litter: a folder of files that go when the whole tree has ended, even if that is
        since this process was killed. Raises CommandNotStarted.
        """
        check(argv, env)
        try:
            streams = Streams.pty(*size) if pty else Streams.pipes()
        except OSError as error:
            raise CommandNotStarted(argv[0], str(error)) from error
        try:
            link = GuardLink.open(*streams.theirs, pty=pty, litter=litter)
        except OSError as error:
            streams.close()
            raise CommandNotStarted(argv[0], str(error)) from error
        streams.given_away()
        command = cls(link, streams, grace, redactor or Redactor())
        command.size = size if pty else None
        streams.follow(asyncio.get_running_loop(), on_output)
        link.listen(command._hear, command._guard_done.set)
        try:
            await link.request(argv, cwd.absolute(), env)
            await command._started
        except OSError as error:
            command.kill_now()
            await command._ended.wait()
            raise CommandNotStarted(argv[0], command._why_not(error, cwd)) from error
        except BaseException:
            command.kill_now()
            raise
        return command

    async def wait(self) -> CommandResult:
        """The result, once the whole tree has ended."""
        await self._ended.wait()
        code, number = self._status or (None, signal.SIGKILL)  # the guard was lost, and took it along
        return CommandResult(
            exit_code=code,
            signal=number,
            output=bytes(self._streams.tail),
            timed_out=self._timed_out,
            duration_seconds=self._over - self._began,
            receipt=self.receipt,
        )

    async def stop(self, requested_at_ms: int | None = None) -> dict[str, Any]:
        """SIGINT now, after a grace SIGTERM, after another SIGKILL, to the whole tree; returns the receipt.

        requested_at_ms: when the store took the request, for the receipt. May be called by many and again:
        there is one ladder, started by the first call.
        """
        request = self._begin_stop(requested_at_ms)
        await self._ended.wait()
        return self._receipt(request)

    def time_out(self) -> None:
        """Stop it since it takes too long: the result says `timed_out`. Nothing once it has ended itself."""
        if self._status is None:
            self._timed_out = True
            self._begin_stop(None)

    @property
    def has_ended(self) -> bool:
        """Whether its whole tree has, or what is left of it is past any signal."""
        return self._ended.is_set()

    @property
    def receipt(self) -> dict[str, Any] | None:
        """That of its stop, once it has ended so."""
        return self._receipt(self._stop_request) if self._stop_request and self.has_ended else None

    async def pause(self) -> None:
        """SIGSTOP to the whole tree; returns when all of it stands still. Nothing once stopped."""
        await self._ask("pause", "SIGSTOP")

    async def resume(self) -> None:
        await self._ask("resume", "SIGCONT")

    async def pulse(self) -> Pulse:
        """What its process tree is now; compared with an earlier one, it tells whether the tree is quiet."""
        return await asyncio.to_thread(pulse.take, self._link.pid)

    async def write(self, data: bytes) -> None:
        """Type into the terminal. Raises BrokenPipeError when it has ended or has none."""
        await self._streams.write(data)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal's size from now on (SIGWINCH tells the command)."""
        self.size = columns, rows
        self._streams.resize(columns, rows)

    def kill_now(self) -> None:
        """SIGKILL to the whole tree, without grace and without waiting; `wait` returns soon after."""
        self._killed = True
        self._link.cut()
        self._expect_end(MUTE_SECONDS)

    def _begin_stop(self, requested_at_ms: int | None) -> StopRequest:
        if self._stop_request is None:
            now = now_ms()
            self._link.say(f"stop {self._grace.sigint_seconds} {self._grace.sigterm_seconds}")
            self._stop_request = StopRequest(requested_at_ms=requested_at_ms or now, delivered_at_ms=now)
            self._expect_end(self._grace.sigint_seconds + self._grace.sigterm_seconds + MUTE_SECONDS)
        return self._stop_request

    @property
    def _was_asked_to_end(self) -> bool:
        """From then on its signals are for the receipt: that of a stop which comes after the kill, too."""
        return self._stop_request is not None or self._killed

    def _expect_end(self, seconds: float) -> None:
        """A guard that was stopped is continued at once; one that does not answer is passed over."""
        if not self._guard_done.is_set():
            self._link.wake()
            if self._patience is not None:
                self._patience.cancel()
            self._patience = asyncio.get_running_loop().call_later(seconds, self._pass_over_guard)

    def _pass_over_guard(self) -> None:
        log.error("worker.guard.mute", guard=self._link.pid, command=self.pid)
        self._guard_done.set()

    def _receipt(self, request: StopRequest) -> dict[str, Any]:
        return receipt(
            request,
            [process.shown(self._redactor) for process in self._processes],
            self._signals,
            empty_at_ms=self._empty_at_ms,
            survivors=self._survivors,
        )

    async def _ask(self, word: str, answer: str) -> None:
        if self._stop_request is None and not self._guard_done.is_set():
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._answers.append((answer, answered))
            self._link.say(word)
            self._link.wake()
            await answered

    def _keep_awake(self) -> None:
        self._link.wake()
        self._waking = asyncio.get_running_loop().call_later(WAKE_SECONDS, self._keep_awake)

    def _hear(self, report: list[str]) -> None:
        match report:
            case ["started", pid, holder, cgroup]:
                self.pid = int(pid)
                self._link.met(int(holder), cgroup)
                self._began = time.monotonic()
                settle(self._started)
            case ["failed", stage, number]:
                settle(self._started, NotRunError(int(number), stage))
            case ["process", pid, parent, extent, *words]:
                command = bytes.fromhex("".join(words))
                self._processes.append(
                    Process(pid=int(pid), parent_pid=int(parent), command=command, cut=extent == "cut")
                )
            case ["signalled", name, processes, at]:
                self._note_signal(Signalled(signal=name, processes=int(processes), at_ms=int(at)))
            case ["exited", code, number]:
                self._over = time.monotonic()
                self._status = (None if code == "-" else int(code), None if number == "-" else int(number))
            case ["empty", at]:
                self._empty_at_ms = int(at)
            case ["survivors", _, *pids]:
                self._survivors = [int(pid) for pid in pids]
                self._guard_done.set()  # it goes on trying; the attempt does not wait for it

    def _note_signal(self, signalled: Signalled) -> None:
        if self._answers and self._answers[0][0] == signalled.signal:
            settle(self._answers.popleft()[1])
        elif self._was_asked_to_end:
            self._signals.append(signalled)

    def _why_not(self, error: OSError, cwd: Path) -> str:
        if not isinstance(error, NotRunError):
            return f"its guard ended: {error}"
        why = os.strerror(error.number)
        return f"working directory {cwd}: {why}" if error.stage == "chdir" else why

    async def _end_with_its_guard(self) -> None:
        """Follow the command to the end of its guard, then let go of everything."""
        try:
            await self._guard_done.wait()
            self._streams.drain()
            if self._empty_at_ms is None and not self._survivors:
                await self._end_without_guard()
            if not self._survivors:
                await self._link.ended()
        finally:
            self._waking.cancel()
            if self._patience is not None:
                self._patience.cancel()
            if self._status is None:
                self._over = time.monotonic()
            self._link.close()
            self._link.reap_later()
            self._streams.close()
            settle(self._started, ConnectionResetError("no answer"))
            for _, answered in self._answers:
                settle(answered)
            self._ended.set()

    async def _end_without_guard(self) -> None:
        at_ms = now_ms()
        # Once it has ended its group may be empty, and the number another's.
        group = self.pid or None if self._status is None else None
        reached, self._survivors = await lost_guard.end(self._link.pid, group, self._link.cgroup)
        if reached and self._was_asked_to_end:
            self._signals.append(Signalled(signal="SIGKILL", processes=len(reached), at_ms=at_ms))
        if not self._survivors:
            self._empty_at_ms = now_ms()
            self._link.kill()


class NotRunError(OSError):
    """The guard could not run the command: at which stage, and the errno."""

    def __init__(self, number: int, stage: str) -> None:
        super().__init__(stage)
        self.number, self.stage = number, stage


def check(argv: Sequence[str], env: Mapping[str, str]) -> None:
    if not argv or not argv[0]:
        raise CommandNotStarted("", "no program given")
    if any("\0" in text for text in (*argv, *env, *env.values())):
        raise CommandNotStarted(argv[0], "an argument or a variable holds a NUL character")
    if any(not name or "=" in name for name in env):
        raise CommandNotStarted(argv[0], "a variable's name is empty or holds '='")


def settle(future: asyncio.Future[None], error: Exception | None = None) -> None:
    """Once; later calls, and callers that have gone, change nothing."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # read: nobody may be waiting any more
