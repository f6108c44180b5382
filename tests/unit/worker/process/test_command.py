"""One command: its output, its end, its terminal, its receipt (C-12)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from sluicegate.times import from_rfc3339, now_ms
from sluicegate.worker.process import Command, CommandNotStarted, Grace, guard_link
from sluicegate.worker.process.guard_link import GuardLink
from tests.support.leftovers import started
from tests.support.wait import until, until_sync

GRACE = Grace(sigint_seconds=0.2, sigterm_seconds=0.2)
PATIENT = Grace(sigint_seconds=30, sigterm_seconds=30)
ENV = {"PATH": os.environ["PATH"]}


class Heard:
    """What on_output was given."""

    def __init__(self) -> None:
        self.chunks: list[tuple[bytes, str]] = []

    def __call__(self, chunk: bytes, stream: str) -> None:
        self.chunks.append((chunk, stream))

    def text(self, stream: str = "pty") -> str:
        return b"".join(chunk for chunk, name in self.chunks if name == stream).decode()

    async def says(self, words: str) -> None:
        await until(lambda: any(words in self.text(name) for name in ("pty", "stdout")), f"output {words!r}")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def start(tmp_path: Path, heard: Heard) -> Callable[..., Any]:
    async def start(*argv: str, env: dict[str, str] = ENV, grace: Grace = GRACE, **more: Any) -> Command:
        return await Command.start(
            argv, cwd=more.pop("cwd", tmp_path), env=env, on_output=heard, grace=grace, **more
        )

    return start


async def test_a_command_has_a_terminal_of_its_own(start: Any, heard: Heard) -> None:
    command = await start(
        "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size </dev/tty", size=(97, 31)
    )
    result = await command.wait()
    assert (result.exit_code, result.signal, result.timed_out, result.receipt) == (0, None, False, None)
    assert result.output == b"31 97\r\n"
    assert heard.text() == "31 97\r\n"
    assert 0 < result.duration_seconds < 10


async def test_pipes_keep_stdout_and_stderr_apart(start: Any, heard: Heard) -> None:
    command = await start("sh", "-c", "cat; echo out; echo err >&2; test -t 1", pty=False)
    assert (await command.wait()).exit_code == 1
    assert (heard.text("stdout"), heard.text("stderr")) == ("out\n", "err\n")


async def test_the_environment_is_exactly_the_one_given(start: Any, heard: Heard, tmp_path: Path) -> None:
    env = {**ENV, "LINES_AND_SIGNS": "a\nb=c é", "EMPTY": "", "LC_ALL": "C.UTF-8"}
    code = "import os; print(sorted(os.environb.items()), os.getcwd())"
    await (await start(sys.executable, "-I", "-c", code, env=env, pty=False)).wait()
    given = sorted((name.encode(), value.encode()) for name, value in env.items())
    assert heard.text("stdout") == f"{given} {tmp_path}\n"


@pytest.mark.parametrize(("script", "expected"), [("exit 3", (3, None)), ("kill -TERM $$", (None, 15))])
async def test_it_ends_by_a_code_or_by_a_signal(start: Any, script: str, expected: object) -> None:
    result = await (await start("sh", "-c", script)).wait()
    assert (result.exit_code, result.signal) == expected


@pytest.mark.parametrize(
    ("argv", "options", "reason"),
    [
        (["no-such-program"], {}, "'no-such-program': No such file"),
        (["/etc/passwd"], {}, "'/etc/passwd': Permission denied"),
        (["true"], {"cwd": Path("/no/such")}, "'true': working directory /no/such: No such file"),
        (["true"], {"env": {"A": "\0"}}, "'true': .* NUL"),
        (["true"], {"env": {"A=B": ""}}, "'true': .* '='"),
        ([], {}, "no program"),
    ],
)
async def test_what_cannot_start_says_why_and_leaves_nothing(
    start: Any, argv: list[str], options: dict[str, Any], reason: str
) -> None:
    files = psutil.Process().num_fds()
    with pytest.raises(CommandNotStarted, match=reason):
        await start(*argv, **options)
    assert not started()
    assert psutil.Process().num_fds() == files


async def test_a_guard_that_cannot_start_is_no_command(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_link, "PROGRAM", "raise SystemExit(1)")
    with pytest.raises(CommandNotStarted, match="guard"):
        await start("true")
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(CommandNotStarted, match=r"'true': .*No such file"):
        await start("true")


async def test_only_the_last_64_kib_are_kept_but_all_is_handed_on(start: Any, heard: Heard) -> None:
    result = await (await start("sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo END")).wait()
    assert len(result.output) == 64 * 1024
    assert result.output.endswith(b"xEND\r\n")
    assert len(heard.text()) == 300_005


async def test_a_failing_on_output_stops_neither_reading_nor_command(tmp_path: Path) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    def fails(_chunk: bytes, _stream: str) -> None:
        raise RuntimeError("disk full")

    command = await Command.start(["echo", "hello"], cwd=tmp_path, env=ENV, on_output=fails, grace=GRACE)
    assert (await command.wait()).output == b"hello\r\n"
    assert str(reported[0]["exception"]) == "disk full"


async def test_typing_reaches_the_command(start: Any, heard: Heard) -> None:
    command = await start("sh", "-c", "stty -echo; echo ready; read line; echo got $line; cat >/dev/null")
    await heard.says("ready")
    await command.write(b"some words\n")
    await heard.says("got some words")
    await command.write(b"\x04")  # the terminal's end of file
    assert (await command.wait()).exit_code == 0
    with pytest.raises(BrokenPipeError):
        await command.write(b"too late")


async def test_typing_waits_for_a_reader_and_ends_with_the_command(start: Any, heard: Heard) -> None:
    command = await start("sh", "-c", "stty raw -echo; echo ready; sleep 60")
    await heard.says("ready")
    typing = asyncio.create_task(command.write(b"x" * 1_000_000))
    await asyncio.wait([typing], timeout=0.05)
    assert not typing.done()
    command.kill_now()
    with pytest.raises(BrokenPipeError):
        await typing
    await command.wait()


async def test_the_terminal_can_be_resized(start: Any, heard: Heard) -> None:
    command = await start(
        "bash", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.02; done"
    )
    await heard.says("ready")
    command.resize(200, 50)
    await command.wait()
    assert "50 200" in heard.text()


async def test_a_command_that_obeys_ends_at_sigint(start: Any, heard: Heard) -> None:
    """C-12: the first signal goes out at once, and no other follows."""
    command = await start("sh", "-c", "trap 'echo bye; exit 0' INT; echo ready; while :; do sleep 0.02; done")
    await heard.says("ready")
    before = now_ms()
    receipt = await command.stop(before - 5)
    result = await command.wait()
    assert result.exit_code == 0
    assert result.output.endswith(b"bye\r\n")
    assert result.receipt == receipt
    assert [each["signal"] for each in receipt["signals"]] == ["SIGINT"]
    assert from_rfc3339(receipt["requestedAt"]) == before - 5


async def test_the_ladder_and_its_receipt(start: Any, heard: Heard) -> None:
    """C-12, 70-48: SIGINT, grace, SIGTERM, grace, SIGKILL; the receipt has what was there and what happened,
    in order, with times."""
    command = await start("sh", "-c", "trap '' INT TERM; echo ready; while :; do sleep 60; done")
    await heard.says("ready")
    await until(
        lambda: [each.name() for each in psutil.Process(command.pid).children()] == ["sleep"], "sleep"
    )
    receipt = await command.stop()
    assert set(receipt) == {
        "requestedAt", "deliveredAt", "processes", "signals", "groupEmptyAt", "survivors",
    }  # fmt: skip
    assert receipt["survivors"] == []
    assert [(each["pid"] == command.pid, each["command"]) for each in receipt["processes"]] == [
        (True, "sh -c trap '' INT TERM; echo ready; while :; do sleep 60; done"), (False, "sleep 60"),
    ]  # fmt: skip
    assert receipt["processes"][1]["parentPid"] == command.pid
    assert [(each["signal"], each["processes"]) for each in receipt["signals"]] == [
        ("SIGINT", 2), ("SIGTERM", 2), ("SIGKILL", 2),
    ]  # fmt: skip
    times = [receipt["requestedAt"], receipt["deliveredAt"], *(each["at"] for each in receipt["signals"])]
    moments = [from_rfc3339(each) for each in [*times, receipt["groupEmptyAt"]]]
    assert moments == sorted(moments)
    assert all(after - before >= 195 for before, after in pairwise(moments[2:5]))
    assert (await command.wait()).signal == signal.SIGKILL


async def test_all_who_stop_share_one_ladder(start: Any, heard: Heard) -> None:
    """C-12: repeated and concurrent stops, one of them given up, are one."""
    command = await start("sh", "-c", "trap '' INT; echo ready; while :; do sleep 0.02; done")
    await heard.says("ready")
    given_up = asyncio.create_task(command.stop())
    stops = [asyncio.create_task(command.stop(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    given_up.cancel()
    first, second = await asyncio.gather(*stops)
    assert first == second == await command.stop() == (await command.wait()).receipt
    assert [each["signal"] for each in first["signals"]] == ["SIGINT", "SIGTERM"]
    assert given_up.cancelled()


async def test_a_stop_after_the_end_says_so(start: Any) -> None:
    command = await start("true")
    assert (await command.wait()).receipt is None
    receipt = await command.stop()
    assert (receipt["signals"], receipt["survivors"]) == ([], [])
    assert from_rfc3339(receipt["groupEmptyAt"]) <= from_rfc3339(receipt["deliveredAt"])


async def test_a_command_that_takes_too_long_is_stopped(start: Any) -> None:
    command = await start("sleep", "60")
    command.time_out()
    result = await command.wait()
    assert (result.timed_out, result.exit_code, result.signal) == (True, None, signal.SIGINT)
    assert result.receipt is not None


async def test_sigint_works_where_the_worker_was_told_to_ignore_it(start: Any) -> None:
    """A shell starts its background jobs with SIGINT ignored, and exec hands that down."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = await start("sleep", "60", grace=PATIENT)
    finally:
        signal.signal(signal.SIGINT, before)
    await command.stop()
    assert (await command.wait()).signal == signal.SIGINT


async def test_kill_now_gives_no_grace(start: Any, heard: Heard) -> None:
    command = await start("sh", "-c", "trap '' INT TERM; echo ready; sleep 60; sleep 60", grace=PATIENT)
    await heard.says("ready")
    stopping = asyncio.create_task(command.stop())
    await asyncio.sleep(0)
    command.kill_now()
    assert (await stopping)["signals"][-1]["signal"] == "SIGKILL"
    assert (await command.wait()).signal == signal.SIGKILL
    command.kill_now()  # harmless when all is over


async def test_a_kill_before_the_stop_is_on_its_receipt(start: Any, heard: Heard) -> None:
    """C-12: its handler was ended from outside, the guard was quicker than the stop that follows."""
    command = await start("sh", "-c", "echo ready; sleep 60; sleep 60")
    await heard.says("ready")
    command.kill_now()
    assert (await command.wait()).receipt is None
    assert [each["signal"] for each in (await command.stop())["signals"]] == ["SIGKILL"]


async def test_a_paused_tree_stands_still(start: Any, heard: Heard) -> None:
    command = await start("sh", "-c", "sh -c 'while :; do :; done' & while :; do echo x; done")
    await heard.says("x")
    await command.pause()
    main = psutil.Process(command.pid)
    assert {each.status() for each in [main, *main.children()]} == {psutil.STATUS_STOPPED}
    await command.resume()
    assert psutil.STATUS_STOPPED not in {each.status() for each in [main, *main.children()]}
    before = len(heard.text())
    await until(lambda: len(heard.text()) > before + 10_000, "more output")
    command.kill_now()
    await command.wait()
    await command.pause()  # harmless when all is over


async def test_a_paused_tree_can_be_stopped(start: Any, heard: Heard) -> None:
    command = await start("sh", "-c", "trap 'echo bye; exit 0' INT; echo ready; while :; do sleep 0.02; done")
    await heard.says("ready")
    await command.pause()
    receipt = await command.stop()
    assert [each["signal"] for each in receipt["signals"]] == ["SIGINT", "SIGCONT"]
    assert "bye" in heard.text()


async def test_what_has_stopped_itself_can_be_stopped(start: Any, heard: Heard) -> None:
    """C-12: a stopped process takes no signal. It would have stood there until SIGKILL, both graces long."""
    stopped = (
        "import os, signal; signal.signal(2, lambda *_: os._exit(0)); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    code = f"import os, signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {stopped!r}])\n"
    code += "print('ready', flush=True); signal.pause()"
    command = await start(sys.executable, "-c", code, grace=PATIENT)
    await heard.says("ready")
    (child,) = psutil.Process(command.pid).children()
    await until(lambda: child.status() == psutil.STATUS_STOPPED, "the child has stopped")
    receipt = await asyncio.wait_for(command.stop(), 10)
    assert [each["signal"] for each in receipt["signals"]] == ["SIGINT", "SIGCONT"]
    assert not child.is_running()


@pytest.mark.skipif(sys.platform != "linux", reason="needs child subreapers")
async def test_a_stopped_guard_is_continued(start: Any) -> None:
    """C-12: a command that stops all that is its user's, as `kill -STOP -1` does."""
    command = await start("sleep", "60", grace=PATIENT)  # a shell that is about to exec loses a SIGINT
    stopped = started()
    for each in stopped:
        each.suspend()
    # That may take a moment; one that stops only after the guard has looked waits out its grace.
    await until(lambda: {each.status() for each in stopped} == {psutil.STATUS_STOPPED}, "all stand still")
    receipt = await asyncio.wait_for(command.stop(), 10)
    assert [each["signal"] for each in receipt["signals"]] == ["SIGINT", "SIGCONT"]
    assert not started()


@pytest.mark.skipif(sys.platform != "linux", reason="needs child subreapers")
async def test_a_stopped_guard_stops_a_tree_and_lets_it_go_on(start: Any) -> None:
    """H-10, L-5, C-12: each of its words would have waited for the guard for ever."""
    command = await start("sleep", "60", grace=PATIENT)
    main = psutil.Process(command.pid)
    stop_guard()
    await asyncio.wait_for(command.pause(), 10)
    await until(lambda: main.status() == psutil.STATUS_STOPPED, "it stands still")
    stop_guard()
    await asyncio.wait_for(command.resume(), 10)
    assert main.status() != psutil.STATUS_STOPPED
    await command.pause()
    stop_guard()
    receipt = await asyncio.wait_for(command.stop(), 10)
    assert [each["signal"] for each in receipt["signals"]] == ["SIGINT", "SIGCONT"]
    assert not started()


@pytest.mark.skipif(sys.platform != "linux", reason="needs child subreapers")
async def test_the_end_is_told_though_the_guard_was_stopped(
    start: Any, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that ends by itself: nobody has a word for its guard, and a time limit is for the command."""
    monkeypatch.setattr("sluicegate.worker.process.command.WAKE_SECONDS", 0.05)
    command = await start("sh", "-c", "echo ready; read line; exit 3")
    await heard.says("ready")
    stop_guard()
    await command.write(b"\n")
    assert (await asyncio.wait_for(command.wait(), 10)).exit_code == 3
    assert not started()


def stop_guard() -> None:
    """Both of its processes."""
    guard = [each for each in started() if guard_link.PROGRAM in each.cmdline()]
    assert len(guard) == 2
    for each in guard:
        each.suspend()


@pytest.mark.skipif(sys.platform != "linux", reason="needs child subreapers")
@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_guard_that_does_not_answer_is_passed_over(
    start: Any, heard: Heard, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """C-12: the attempt would have waited for it for ever, and its slot with it. What the guard should end is
    ended without it, sessions of their own too."""
    monkeypatch.setattr(GuardLink, "wake", lambda link: None)
    monkeypatch.setattr("sluicegate.worker.process.command.MUTE_SECONDS", 0.1)
    code = "import os, time\nif not os.fork(): os.setsid()\nprint('ready', flush=True); time.sleep(600)"
    command = await start(sys.executable, "-c", code, grace=Grace(sigint_seconds=0, sigterm_seconds=0))
    await until(lambda: heard.text().count("ready") == 2, "both run")
    stop_guard()
    if way == "kill":
        command.kill_now()
    else:
        receipt = await asyncio.wait_for(command.stop(), 10)
        assert [each["signal"] for each in receipt["signals"]] == ["SIGKILL"]
        assert (receipt["survivors"], receipt["groupEmptyAt"] is None) == ([], False)
    assert (await asyncio.wait_for(command.wait(), 10)).signal == signal.SIGKILL
    assert not started()


async def test_a_start_that_is_given_up_leaves_nothing(start: Any) -> None:
    files = psutil.Process().num_fds()
    starting = asyncio.create_task(start("sleep", "60"))
    await until(started, "a guard")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until(lambda: not started(), "the guard has ended")
    await until(lambda: psutil.Process().num_fds() == files, "its files are closed")


async def test_what_a_shell_leaves_in_the_background_may_finish_its_output(start: Any, heard: Heard) -> None:
    """The command's own end hangs no terminal up: the `cat` behind the shell still writes."""
    result = await (await start("bash", "-c", "exec > >(sleep 0.05; cat); echo late")).wait()
    assert (result.exit_code, heard.text()) == (0, "late\r\n")


async def test_the_group_alone_where_there_is_no_subreaper(
    start: Any, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-12 as far as macOS goes: the group and every descendant that was seen."""
    monkeypatch.setattr(guard_link, "MODE", "group")
    command = await start(
        "sh", "-c", "trap '' INT TERM; (sleep 60 &) ; echo ready; while :; do sleep 60; done"
    )
    await heard.says("ready")
    group = await until(
        lambda: [each for each in psutil.process_iter() if own_group(each, command.pid)], "group"
    )
    receipt = await command.stop()
    assert [each["signal"] for each in receipt["signals"]] == ["SIGINT", "SIGTERM", "SIGKILL"]
    assert receipt["survivors"] == []
    assert not [each for each in group if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def own_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group
    except ProcessLookupError:
        return False


async def test_survivors_are_named_and_not_waited_for(
    start: Any, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-12: a process that no signal reaches stands in the receipt; the guard goes on trying."""
    powerless = "from guard import reaper; reaper.delivered = lambda *_: False; "
    powerless += "reaper.KILL_REPORT_SECONDS = 0.05; from guard.program"
    monkeypatch.setattr(guard_link, "PROGRAM", guard_link.PROGRAM.replace("from guard.program", powerless))
    monkeypatch.setattr(guard_link, "cgroups", lambda: "-")
    command = await start(
        "sh", "-c", "echo ready; exec sleep 60", grace=Grace(sigint_seconds=0, sigterm_seconds=0)
    )
    await heard.says("ready")
    receipt = await command.stop()
    assert receipt["survivors"] == [command.pid]
    assert receipt["groupEmptyAt"] is None
    assert [each["processes"] for each in receipt["signals"]] == [0, 0, 0]
    os.kill(command.pid, signal.SIGKILL)
    await until(lambda: not started(), "the guard ends once nothing is left")


def test_a_loop_that_ends_takes_its_commands_along(tmp_path: Path) -> None:
    """C-12: `asyncio.run` returns while a command runs."""
    files = psutil.Process().num_fds()

    async def start_and_leave() -> int:
        command = await Command.start(
            ["sleep", "60"], cwd=tmp_path, env=ENV, on_output=lambda *_: None, grace=PATIENT
        )
        return command.pid

    pid = asyncio.run(start_and_leave())
    until_sync(lambda: not psutil.pid_exists(pid), "the command has ended")
    until_sync(lambda: not started(), "its guard has ended")
    assert psutil.Process().num_fds() == files
