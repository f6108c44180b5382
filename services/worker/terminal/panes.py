"""A server of tmux, or of tmate, with the panes of one run: agent, log, inbox, shell (L-7).

It runs under a guard of its own, with a socket and a configuration of its own in a folder that only its user
may enter. The guard ends all of it, shells included, and removes the folder, also when the worker was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.worker.task import environment
from services.worker.terminal.agent_pane import AgentPane
from sluicegate.worker.process import Command, CommandNotStarted, Grace

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun

SESSION: Final = "run"
COLUMNS: Final = 120
ROWS: Final = 58
"""The agent's 40, 16 for the three others, and what parts them."""
LOWER_ROWS: Final = "16"
SOCKET_PATH_BYTES: Final = 100
"""Of the 107 that a socket's path may have; the rest is for its name to change."""
NAME: Final = "/live-xxxxxxxx/s-xxxxxxxx"
CALL_SECONDS: Final = 5.0
NOT_SAID: Final = ("Reconnecting", "Session closed", "To connect", "ssh session", "web session")
"""How lines begin that tell no reason, or a way in."""
LOOK_SECONDS: Final = 0.02
CONFIGURATION: Final = (
    "set -g history-limit 50000",
    "set -g remain-on-exit on",
    "set -g default-terminal screen-256color",
    'set -g update-environment ""',
)
"""What is not said here is as it is built in: no file of the user's is read."""


class PanesFailed(Exception):
    """They cannot be had, or they are gone. The message says why, for people."""


class Panes:
    """program: `tmux` or `tmate`. own: lines of configuration that only it knows."""

    def __init__(self, run: TaskRun, program: str, own: Sequence[str]) -> None:
        self._run = run
        self._program = program
        self._configuration = (*CONFIGURATION, *own)
        self._environment = _environment(run)
        self._folder: Path | None = None
        self._server: Command | None = None
        self._said = bytearray()
        self.agent = AgentPane(run.ctx.terminal)
        self.socket = Path()

    async def start(self, foreground: Sequence[str], *, with_session: bool) -> None:
        """Until all panes are there.

        foreground: options that have it run without a terminal and without leaving its parent. with_session:
        whether the session belongs on the same command line. Raises PanesFailed. Cut short, it leaves what
        `close` ends.
        """
        if (path := shutil.which(self._program, path=self._environment.get("PATH"))) is None:
            raise PanesFailed(f"{self._program} is not installed on the worker's machine")
        folder = self._folder = self._make_folder()
        self.socket = folder / "s"
        configuration = folder / "configuration"
        configuration.write_text("".join(f"{line}\n" for line in self._configuration))
        first = ["new-session", "-d", "-s", SESSION, "-n", SESSION, "-x", str(COLUMNS), "-y", str(ROWS)]
        first += ["--", *await self.agent.open(folder / "agent")]
        argv = [path, "-S", str(self.socket), "-f", str(configuration), *foreground]
        try:
            server = self._server = await Command.start(
                [*argv, *first] if with_session else argv,
                cwd=self._run.place.root,
                env=self._environment,
                pty=False,
                on_output=self._hear,
                grace=Grace(sigint_seconds=0, sigterm_seconds=0),
                redactor=self._run.ctx.redactor,
                litter=folder,
            )
        except CommandNotStarted as error:
            raise PanesFailed(str(error)) from error
        await self._answer(server, *(["has-session", "-t", SESSION] if with_session else ["list-sessions"]))
        await self.call(*([] if with_session else [*first, ";"]), *self._others())
        await self.agent.there.wait()

    async def call(self, *words: str, seconds: float = CALL_SECONDS) -> str:
        """What the server answers to a command. Raises PanesFailed, TimeoutError."""
        process = await asyncio.create_subprocess_exec(
            self._program, "-S", str(self.socket), *words,
            env=self._environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise PanesFailed(f"{self._program} {words[0]}: {said.decode(errors='replace').strip()}")
        return said.decode(errors="replace").strip()

    async def ended(self) -> None:
        """Once the server has ended by itself: raises PanesFailed with its last words."""
        if self._server is not None:
            await self._server.wait()
            raise PanesFailed(f"{self._program} has ended: {self.last_words or 'it gave no reason'}")

    @property
    def last_words(self) -> str:
        """The last line that the server put out, without what it says over and over."""
        lines = self._said.decode(errors="replace").splitlines()
        told = [line.strip() for line in lines if line.strip() and not line.startswith(NOT_SAID)]
        return self._run.ctx.redactor.text(told[-1]) if told else ""

    def rename(self) -> None:
        """Give the socket another name: who knows the one it had gets in no more, who is in stays in."""
        name = self.socket.with_name(f"s-{secrets.token_hex(4)}")
        self.socket.rename(name)
        self.socket = name

    async def close(self) -> None:
        """End the server and all that runs in its panes; remove its folder. Again, it does nothing."""
        await self.agent.close()
        if (server := self._server) is not None:
            self._server = None
            if not server.has_ended:
                with contextlib.suppress(PanesFailed, TimeoutError, OSError):
                    await self.call("kill-server", seconds=1.0)  # so that those who watch are told
            server.kill_now()
            await server.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _make_folder(self) -> Path:
        """Near the attempt's, where the next worker would find it; elsewhere if that path is too long."""
        workspace = self._run.ctx.workspace
        for place in (workspace, workspace.parent, Path(tempfile.gettempdir())):
            if len(os.fsencode(place)) + len(NAME) <= SOCKET_PATH_BYTES:
                return Path(tempfile.mkdtemp(prefix="live-", dir=place))
        raise PanesFailed("no folder has a path that is short enough for a socket; TMPDIR may name one")

    def _others(self) -> list[str]:
        place = self._run.place
        log, shell = place.stage_log("execute"), ["bash", "--noprofile", "--norc", "-i"]
        pane = f"{SESSION}:0."
        return [
            "split-window", "-v", "-l", LOWER_ROWS, "-t", f"{pane}0",
            "--", "tail", "-n", "1000", "-F", str(log), ";",
            "split-window", "-h", "-l", str(COLUMNS * 2 // 3), "-t", f"{pane}1",
            "--", "tail", "-n", "+1", "-F", str(place.inbox), ";",
            "split-window", "-h", "-l", str(COLUMNS // 3), "-t", f"{pane}2", "-c", str(place.tree),
            "--", *shell, ";",
            "select-pane", "-t", f"{pane}0",
        ]  # fmt: skip

    async def _answer(self, server: Command, *words: str) -> None:
        """Until the server does to this command. Only then others may be given: they would start one."""
        while True:
            if server.has_ended:
                await self.ended()
            with contextlib.suppress(PanesFailed):
                await self.call(*words)
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _hear(self, chunk: bytes, _stream: str) -> None:
        self._said += chunk
        del self._said[:-4096]


def _environment(run: TaskRun) -> dict[str, str]:
    """A step's, without anything that is secret, and without the terminal that the worker may run in."""
    own = {"JOB_ID": run.ctx.job.id, "INBOX": str(run.place.inbox)}
    step = environment.for_step(os.environ, run.ctx.settings, {}, own)
    secret = {name for name, value in step.items() if run.ctx.redactor.text(value) != value}
    mine = {"PS1": r"\W\$ ", "HISTFILE": ""}
    return {name: step[name] for name in step.keys() - secret - {"TMUX", "TMUX_PANE", "TMATE"}} | mine
