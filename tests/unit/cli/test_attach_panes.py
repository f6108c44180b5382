"""What `sluicegate attach` runs of what a worker told, and what it only shows."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click
import pytest

from sluicegate.cli import attach_panes
from sluicegate.model import LiveSession


def session(
    way: str | None, provider: str = "tmux", status: str = "ready", why: str | None = None
) -> LiveSession:
    return LiveSession(
        id="1", task_run_id="job", provider=provider, status=status, attach_ro=way,  # type: ignore[arg-type]
        worker_hostname="elsewhere", created_at="2026-01-31T12:00:00Z", error_message=why,
    )  # fmt: skip


@pytest.mark.parametrize(
    "way",
    [
        "tmux -S /run/s attach -r -t run",
        "tmux -S '/a b/s' attach -t run",
        "ssh -p2200 ro-Ab1@relay.test",
        "ssh a@b",
    ],
)
def test_what_is_run(way: str) -> None:
    assert attach_panes._command(way) is not None


@pytest.mark.parametrize(
    "way",
    [
        "ssh -oProxyCommand=evil a@b", "ssh -p2200 -oX a@b", "ssh a@-oX", "ssh a@b evil", "ssh -p2200 a@b\n",
        "tmux -S /run/s attach -t run ; evil", "tmux -S /run/s run-shell evil",
        "tmux -f evil -S /s attach -t run",
        "bash -c evil", "",
    ],
)  # fmt: skip
def test_what_a_worker_does_not_get_to_run_here(way: str) -> None:
    """L-10: a worker's word is no command for an operator's machine."""
    assert attach_panes._command(way) is None
    with pytest.raises(click.ClickException, match="not a command that is run unseen"):
        attach_panes.attach(session(way), False, None, None)


def test_a_socket_of_another_machine_or_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """70-25: it says where the command is to be run, before anybody is granted anything."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.ClickException, match="its socket is on elsewhere"):
        attach_panes.attach(session(f"tmux -S {tmp_path}/none attach -r -t run"), True, None, None)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("s")
        assert attach_panes._is_ours(Path("s"))
        uid = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: uid + 1)
        assert not attach_panes._is_ours(Path("s"))


def test_a_session_that_is_not_ready() -> None:
    """L-12."""
    failed = session(None, "tmate", "error", "no relay is set")
    with pytest.raises(click.ClickException, match="by tmate is error: no relay is set"):
        attach_panes.attach(failed, False, None, None)
