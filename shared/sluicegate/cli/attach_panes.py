"""`sluicegate attach` for sessions by tmux and tmate: their own command, run in this terminal (L-7).

What to run was told by a worker, and a worker is not to run programs on other people's machines: only a
command of exactly the known form is run, and only on a socket of one's own. Anything else is shown.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sluicegate.cli.connection import run

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import LiveSession
    from sluicegate.operations.live_sessions import GrantAnswer

TMUX: Final = re.compile(r"tmux -S (?P<socket>\S+|'[^']+') attach( -r)? -t run")
SSH: Final = re.compile(r"ssh( -p ?\d{1,5})? [A-Za-z0-9][A-Za-z0-9_/-]*@[A-Za-z0-9][A-Za-z0-9.:-]*")
LET_IN_SECONDS: Final = 5.0
"""So long it may take until the worker has heard of a grant, and lets in who writes."""


def attach(session: LiveSession, write: bool, minutes: int | None, url: str | None) -> None:
    """Until the person leaves. Raises ClickException when that is not possible here, with what is."""
    job_id = session.task_run_id
    if session.status != "ready" or session.attach_ro is None:
        why = f": {session.error_message}" if session.error_message else ""
        raise click.ClickException(
            f"the live session of {job_id} by {session.provider} is {session.status}{why}"
        )
    _require_here(session, session.attach_ro)
    way: str | None = session.attach_ro
    if write:

        async def work(client: Client) -> GrantAnswer:
            return await client.runs.grant_write(job_id, minutes)

        granted = run(url, work)
        way = granted.attach_rw
        click.echo(
            f"granted until {granted.granted_until}; `sluicegate revoke {job_id}` ends it earlier", err=True
        )
    if way is None or (argv := _command(way)) is None:
        raise click.ClickException(f"not a command that is run unseen: {way}")
    if not sys.stdin.isatty():
        click.echo(way)
        return
    if write and argv[0] == "tmux":
        _wait_to_be_let_in(argv[2])
    environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    if code := subprocess.call(argv, env=environment):
        raise click.ClickException(f"{argv[0]} ended with {code}")


def _command(way: str) -> list[str] | None:
    """The command, if it is of the form that a worker of ours tells."""
    return shlex.split(way) if TMUX.fullmatch(way) or SSH.fullmatch(way) else None


def _require_here(session: LiveSession, way: str) -> None:
    """Before a grant is asked for: whether the way can be gone from here."""
    argv = _command(way)
    if argv is None or argv[0] != "tmux":
        return
    if not _is_ours(Path(argv[2])):
        raise click.ClickException(
            f"its socket is on {session.worker_hostname} and belongs to the worker's user. There, as that "
            f"user:\n  {way}"
        )
    if shutil.which("tmux") is None:
        raise click.ClickException("tmux is not installed here")


def _is_ours(socket: Path) -> bool:
    try:
        return socket.is_socket() and socket.stat().st_uid == os.getuid()
    except OSError:
        return False


def _wait_to_be_let_in(socket: str) -> None:
    """Who comes before the worker has heard of the grant is sent away again by tmux."""
    deadline = time.monotonic() + LET_IN_SECONDS
    while time.monotonic() < deadline:
        asked = ["tmux", "-S", socket, "show-hooks", "-g", "client-attached"]
        hooks = subprocess.run(asked, capture_output=True, text=True, check=False)
        if hooks.returncode or "detach-client" not in hooks.stdout:
            return
        time.sleep(0.05)
