"""The guard's own words, and how it reads a tree: what C-12 stands on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sluicegate.worker.process import guard, guard_link
from sluicegate.worker.process.guard import tree
from tests.support.wait import until_sync

FOLDER = Path(guard.__file__).parents[1]
PATH = f"PATH={os.environ['PATH']}"
LINUX = sys.platform == "linux"


class Guarded:
    """A guard with pipes, driven by hand."""

    def __init__(self, mode: str, litter: str = "") -> None:
        self.control, theirs = socket.socketpair()
        self.control.settimeout(10)
        argv = [sys.executable, "-I", "-S", "-c", guard_link.PROGRAM, str(FOLDER)]
        self.process = subprocess.Popen(
            [*argv, str(theirs.fileno()), mode, "pipes", "-", litter],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[theirs.fileno()],
            start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self.reports = self.control.makefile("r")

    def request(self, *argv: str, cwd: str = "/") -> None:
        body = "\0".join([cwd, *argv, PATH]).encode()
        self.control.sendall(b"%d %d\n" % (len(argv), len(body)) + body)

    def heard(self) -> list[str]:
        return self.reports.readline().split()


@pytest.fixture(params=["subreaper", "group"] if LINUX else ["group"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def guarded(mode: str, litter: str = "") -> Iterator[Guarded]:
    one = Guarded(mode, litter)
    try:
        yield one
    finally:
        one.control.close()
        one.reports.close()
        one.process.communicate(timeout=10)


def test_it_tells_start_end_and_emptiness_in_this_order(mode: str) -> None:
    with guarded(mode) as one:
        one.request("sh", "-c", "echo out; exit 7")
        assert one.heard()[0] == "started"
        assert one.heard() == ["exited", "7", "-"]
        assert one.heard()[0] == "empty"
        assert one.reports.read() == ""
        assert one.process.communicate(timeout=10)[0] == b"out\n"
        assert one.process.returncode == 0


def test_it_names_the_stage_that_failed(mode: str) -> None:
    for argv, cwd, expected in [
        (["no-such-program"], "/", ["failed", "exec", "2"]),
        (["sh"], "/no/such/folder", ["failed", "chdir", "2"]),
    ]:
        with guarded(mode) as one:
            one.request(*argv, cwd=cwd)
            assert one.heard() == expected
            assert one.reports.read() == ""


def test_a_second_stop_changes_nothing(mode: str) -> None:
    with guarded(mode) as one:
        one.request("sh", "-c", "trap '' INT; echo ready; while :; do sleep 0.05; done")
        one.heard()
        assert one.process.stdout is not None
        assert one.process.stdout.readline() == b"ready\n"
        one.control.sendall(b"stop 0.2 5\nstop 60 60\n")
        while (signalled := one.heard())[0] == "process":
            pass  # the shell and its sleep
        assert [signalled[1], one.heard()[1]] == ["SIGINT", "SIGTERM"]
        assert one.heard() == ["exited", "-", str(int(signal.SIGTERM))]


def test_what_runs_is_told_before_it_is_signalled(mode: str) -> None:
    """C-12: what is gone in the end had been there. Of a line of megabytes the beginning is told."""
    with guarded(mode) as one:
        one.request("sh", "-c", f"sleep 60; : {'x' * 5000}")
        pid = one.heard()[1]

        def below() -> list[bytes]:
            return [tree.command_line(each.pid)[0] for each in tree.Tree(int(pid)).processes()]

        until_sync(lambda: below() == [b"sleep 60"], "its sleep runs")
        one.control.sendall(b"stop 5 5\n")
        told = [one.heard() for _ in range(2)]
        assert [(each[0], each[1] == pid, each[2] == pid, each[3]) for each in told] == [
            ("process", True, False, "cut"), ("process", False, True, "whole"),
        ]  # fmt: skip
        shell, sleep = (bytes.fromhex(each[4]) for each in told)
        assert (shell[:15], len(shell)) == (b"sh -c sleep 60;", tree.COMMAND_BYTES)
        assert sleep == b"sleep 60"
        assert one.heard()[:3] == ["signalled", "SIGINT", "2"]


def test_the_end_of_file_before_any_request_ends_it(mode: str) -> None:
    with guarded(mode) as one:
        one.control.shutdown(socket.SHUT_WR)
        assert one.reports.read() == ""
        assert one.process.wait(timeout=10) == 0


@pytest.mark.parametrize("ends", ["by itself", "cut off"])
def test_its_litter_goes_when_all_have_ended(mode: str, ends: str, tmp_path: Path) -> None:
    """L-8: sockets of a server that was killed, also when the worker was."""
    litter = tmp_path / "litter"
    litter.mkdir()
    with guarded(mode, str(litter)) as one:
        one.request(
            "sh", "-c", f"touch {litter}/one {litter}/two; echo there; {'sleep 60' * (ends != 'by itself')}"
        )
        assert one.process.stdout is not None
        assert one.process.stdout.readline() == b"there\n"
        if ends == "cut off":
            assert len(list(litter.iterdir())) == 2
            one.control.shutdown(socket.SHUT_WR)
        one.process.wait(10)
        assert not litter.exists()


def test_words_may_come_in_pieces(mode: str) -> None:
    with guarded(mode) as one:
        one.request("sleep", "60")
        one.heard()
        for piece in (b"st", b"op 5", b" 5", b"\n"):
            one.control.sendall(piece)
        assert one.heard()[0] == "process"
        assert one.heard()[:3] == ["signalled", "SIGINT", "1"]
        assert one.heard() == ["exited", "-", str(int(signal.SIGINT))]


@pytest.fixture
def sleepers() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with a shell with a sleep, and a sleep of its own."""
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & sh -c 'sleep 60; :' & echo ready; wait"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"ready\n"
        yield shell
        os.killpg(shell.pid, signal.SIGKILL)


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_every_way_of_reading_sees_the_same_tree(sleepers: subprocess.Popen[bytes]) -> None:
    seen = tree.Tree(sleepers.pid)
    until_sync(lambda: len(seen.processes()) == 3, "three descendants")
    by_children = [entry.pid for entry in seen.processes()]
    seen.by_children = False
    assert [entry.pid for entry in seen.processes()] == by_children
    family = tree.Family(sleepers.pid)
    assert {entry.pid for entry in family.processes()} == {sleepers.pid, *by_children}
    assert family.groups == {sleepers.pid}


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_a_name_full_of_brackets_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        entry = until_sync(
            lambda: (found := tree.entry_of(process.pid)) and b") Z 1 (" in name(process.pid) and found,
            "the program runs",
        )
        assert entry
        assert (entry.parent, entry.group, entry.alive) == (os.getpid(), os.getpgrp(), True)
        process.kill()


def name(pid: int) -> bytes:
    return Path(f"/proc/{pid}/stat").read_bytes()


@pytest.mark.skipif(not LINUX, reason="reads /proc")
def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as process:
        until_sync(lambda: (found := tree.entry_of(process.pid)) and not found.alive, "it has ended")
    assert tree.entry_of(process.pid) is None


def test_it_imports_little() -> None:
    """Each command waits for it: json alone would add 8 ms, contextlib and typing as much."""
    code = f"import sys; sys.path.append({str(FOLDER)!r}); from guard import program; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"json", "re", "enum", "typing", "contextlib", "subprocess", "sluicegate"} & set(loaded)
