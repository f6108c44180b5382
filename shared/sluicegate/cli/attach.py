"""`sluicegate attach`: a run's terminal in this one, to watch and, under a grant, to type into (L-14)."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from sluicegate.cli import attach_panes
from sluicegate.cli.connection import run, url_option
from sluicegate.model import MAX_GRANT_MINUTES
from sluicegate.operations import terminal_messages as messages
from sluicegate.operations.terminal_messages import Attempt, GiveBack, Input, Refused, Resize, Session, Told

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.client.terminal import RemoteTerminal
    from sluicegate.model import LiveSession

LEAVE: Final = b"\x1d"
INTERRUPT: Final = b"\x03"
ANEW: Final = b"\x1bc"
AS_BEFORE: Final = (
    b"\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\r\n"
)
"""Undoes what a program in the run's terminal may have left switched on in this one."""
INPUT_CHARACTERS: Final = 4000


@click.command()
@click.argument("job_id")
@click.option("--write", is_flag=True, help="Type too: ask for a grant, in place of whoever has one.")
@click.option(
    "--ttl", "minutes", type=click.IntRange(1, MAX_GRANT_MINUTES),
    help="With --write: for how many minutes; default: a setting.",
)  # fmt: skip
@url_option
def attach(job_id: str, write: bool, minutes: int | None, url: str | None) -> None:
    """Watch the terminal of a running task, here. Ctrl-] leaves it, and gives the keyboard back.

    Without --write nothing can be typed, and Ctrl-C leaves too. A session by tmux or tmate is entered by its
    own command, on the worker's machine or through the relay; without a terminal that command is printed.

    \b
    Examples:
      sluicegate attach 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate attach --write --ttl 30 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    if minutes is not None and not write:
        raise click.UsageError("--ttl goes with --write")

    async def look(client: Client) -> LiveSession:
        return await client.runs.live_session(job_id)

    session = run(url, look)
    if session.provider != "browser":
        attach_panes.attach(session, write, minutes, url)
        return
    if write and not sys.stdin.isatty():
        raise click.UsageError("--write needs a terminal to type in")

    async def work(client: Client) -> tuple[int | None, str]:
        async with client.runs.terminal(job_id) as remote:
            with _raw():
                attached = _Attached(remote)
                if write:
                    await client.runs.grant_write(job_id, minutes)
                return await attached.hold()

    code, reason = run(url, work)
    if code not in (None, messages.ENDED):
        raise click.ClickException(reason or f"the connection was lost ({code})")
    click.echo(f"Left the terminal of {job_id}{': ' + reason if reason else ''}", err=True)


class _Attached:
    """This terminal, tied to a remote one."""

    def __init__(self, remote: RemoteTerminal) -> None:
        self._remote = remote
        self._mine = False
        self._typed: asyncio.Queue[bytes] = asyncio.Queue()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._resized = asyncio.Event()

    async def hold(self) -> tuple[int | None, str]:
        """Until a person leaves, or it ends; why, as the service says it."""
        loop = asyncio.get_running_loop()
        terminal = sys.stdin.isatty()
        if terminal:
            loop.add_reader(sys.stdin.fileno(), self._read)
            loop.add_signal_handler(signal.SIGWINCH, self._resized.set)
        tasks = [asyncio.create_task(work) for work in (self._show(), self._type(), self._resize())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._mine:
                await self._remote.send(GiveBack())
            for task in done:
                task.result()
        finally:
            if terminal:
                loop.remove_reader(sys.stdin.fileno())
                loop.remove_signal_handler(signal.SIGWINCH)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._remote.code, self._remote.reason

    async def _show(self) -> None:
        async for shown in self._remote.shown():
            if isinstance(shown, bytes):
                _write(shown)
            else:
                self._obey(shown)

    def _obey(self, told: Told) -> None:
        match told:
            case Session():
                if told.yours and not self._mine:
                    self._resized.set()
                if told.yours != self._mine:
                    _say(
                        f"the keyboard is yours until {told.granted_until}" if told.yours else "watching only"
                    )
                self._mine = told.yours
            case Refused():
                _say(told.detail)
            case Attempt():
                _write(ANEW)

    def _read(self) -> None:
        self._typed.put_nowait(os.read(sys.stdin.fileno(), 65536))

    async def _type(self) -> None:
        """Returns when the person leaves."""
        while True:
            data = await self._typed.get()
            if not data or LEAVE in data or (not self._mine and INTERRUPT in data):
                return
            text = self._decode(data)
            if not self._mine:
                continue
            for start in range(0, len(text), INPUT_CHARACTERS):
                await self._remote.send(Input(data=text[start : start + INPUT_CHARACTERS]))

    async def _resize(self) -> None:
        while True:
            await self._resized.wait()
            self._resized.clear()
            if self._mine:
                # Not what COLUMNS says: that may be of another terminal, and does not change with this one.
                columns, rows = os.get_terminal_size(sys.stdin.fileno())
                size = Resize(columns=min(max(columns, 2), 1000), rows=min(max(rows, 1), 500))
                await self._remote.send(size)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """This terminal passes on what is typed as it is; afterwards it is as it was, whatever happened."""
    if not sys.stdin.isatty():
        yield
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    try:
        tty.setraw(file)
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)
        if sys.stdout.isatty():
            _write(AS_BEFORE)


def _say(text: str) -> None:
    click.echo(f"\r\n\x1b[7m {text} \x1b[0m\r", err=True)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
