"""Local commands that a thread speaks to: what they say, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from services.worker.task.spoken_to import Process, spoken_to
from tests.support.wait import until

BASH = ["bash", "-c"]
ENV = dict(os.environ)


def said(process: Process) -> tuple[bytes, int]:
    out, _ = process.communicate()
    return out, process.returncode


def asked(process: Process) -> bytes:
    """One word back and forth, with a command that would go on."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    return process.stdout.readline()


async def test_it_is_heard_and_over(tmp_path: Path) -> None:
    script = [*BASH, "echo $PWD; exit 3"]
    assert await spoken_to(script, said, cwd=tmp_path, env=ENV, stdin=False) == (f"{tmp_path}\n".encode(), 3)


async def test_what_would_go_on_ends_with_the_talk(tmp_path: Path) -> None:
    script = [*BASH, "echo $$ > pid; cat"]
    assert await spoken_to(script, asked, cwd=tmp_path, env=ENV, stdin=True) == b"hello\n"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


async def test_a_talk_that_fails_leaves_no_process(tmp_path: Path) -> None:
    def fails(process: Process) -> None:
        asked(process)
        raise EOFError("no more")

    with pytest.raises(EOFError, match="no more"):
        await spoken_to([*BASH, "echo $$ > pid; cat"], fails, cwd=tmp_path, env=ENV, stdin=True)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


async def test_a_cancel_ends_its_whole_session(tmp_path: Path) -> None:
    """Also what it started, and before the cancel is told."""
    script = [*BASH, "sleep 600 & echo $! > child; trap '' INT TERM; wait"]
    speaking = asyncio.create_task(spoken_to(script, said, cwd=tmp_path, env=ENV, stdin=False))
    child = tmp_path / "child"
    await until(lambda: child.exists() and child.read_text().strip(), "it runs")
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    await until(lambda: not psutil.pid_exists(int(child.read_text())), "its child is reaped")


async def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await spoken_to(["no-such-program"], said, cwd=tmp_path, env=ENV, stdin=False)
