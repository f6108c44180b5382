"""The terminal of an attempt: it shows output, redacted and at once, and takes what is typed (L-14)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sluicegate.redact import Redactor
from sluicegate.settings import WorkerSettings
from sluicegate.worker.command_log import CommandLog
from sluicegate.worker.terminal import Listener, Size, Terminal
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask
from tests.support.wait import until

SECRET = "correct-horse-battery"


class Watching(Listener):
    """One who watches."""

    def __init__(self) -> None:
        self.seen = b""
        self.pieces: list[bytes] = []
        self.sizes: list[Size] = []

    def shown(self, data: bytes) -> None:
        assert data, "an empty piece is no output"
        self.pieces.append(data)
        self.seen += data

    def resized(self, size: Size) -> None:
        self.sizes.append(size)


async def emit(text: str, stream: str) -> None: ...


@pytest.fixture
def kept(new_task: NewTask) -> Kept:
    return new_task("true")


async def test_what_is_typed_reaches_the_command_and_its_echo_whoever_watches(
    kept: Kept, worker_settings: WorkerSettings
) -> None:
    """L-14: and the size that it is given, and the next command has it too."""
    watching = Watching()
    async with attempt(kept, worker_settings) as opened:
        terminal = opened.context.terminal
        script = 'read -r line; echo "got $line"; read -r _; stty size'
        with terminal.heard_by(watching):
            assert not await terminal.type(b"nobody is there\n")
            running = asyncio.create_task(opened.context.run(["sh", "-c", script], stage="execute"))
            await until(lambda: terminal.takes_input, "a command runs")
            assert await terminal.type(b"hello\n")
            await until(lambda: b"got hello" in watching.seen, "the command has got it")
            terminal.resize(Size(90, 33))
            await terminal.type(b"\n")
            assert (await running).exit_code == 0
            assert not terminal.takes_input
            await opened.context.run(["stty", "size"], stage="execute")
        assert watching.sizes == [(90, 33)]
        assert watching.seen.startswith(b"hello\r\n")
        assert watching.seen.count(b"33 90\r\n") == 2
        with terminal.heard_by(Watching()) as recent:
            assert recent == watching.seen


async def test_a_command_without_a_terminal_is_not_shown(kept: Kept, worker_settings: WorkerSettings) -> None:
    """What git says is in the log; the run's terminal shows the steps."""
    async with attempt(kept, worker_settings) as opened:
        await opened.context.run(["echo", "hidden"], pty=False, stage="prepare")
        assert opened.context.terminal.recent == b""
    assert kept.output("prepare") == "hidden\n"


@pytest.mark.parametrize("size", [1, 5, 20])
async def test_a_secret_that_comes_in_parts_is_never_seen(tmp_path: Path, size: int) -> None:
    """70-31: with a pause after each part, longer than what is held back waits; three bytes of it at most."""
    terminal, watching = Terminal(), Watching()
    log = CommandLog(Redactor([SECRET]), emit, tmp_path / "log", max_bytes=1000, terminal=terminal)
    said = f"pass: {SECRET} and on".encode()
    with terminal.heard_by(watching):
        for start in range(0, len(said), size):
            log.take(said[start : start + size], "pty")
            await asyncio.sleep(0.06)
        await log.close()
    assert watching.seen in {b"pass: %s[redacted] and on" % SECRET[:n].encode() for n in range(4)}
    assert (tmp_path / "log").read_bytes() == b"pass: [redacted] and on"


async def test_an_echo_is_not_held_back(tmp_path: Path) -> None:
    """Letters that a secret may begin with are seen after a moment, and stand there once."""
    terminal, watching = Terminal(), Watching()
    log = CommandLog(Redactor([SECRET]), emit, tmp_path / "log", max_bytes=1000, terminal=terminal)
    with terminal.heard_by(watching):
        for place, letter in enumerate("cor"):
            log.take(letter.encode(), "pty")
            await until(lambda: len(watching.seen) == place + 1, f"the letter {letter} is seen")  # noqa: B023
        log.take(b"r", "pty")
        await asyncio.sleep(0.06)
        assert watching.seen == b"cor"
        log.take(b"al\r\n", "pty")
        assert watching.seen == b"corral\r\n"
        await log.close()
    assert watching.seen == b"corral\r\n"
