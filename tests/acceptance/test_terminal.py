"""A person watches a run of a real deployment, takes the keyboard, and types (L-10, L-14)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import Deployment
from tests.support.dev_process import dev
from tests.support.origin import Origin
from tests.support.tasks import payload
from tests.support.terminal import terminal
from tests.support.wait import until_sync

SCRIPT = """
echo "What is to go into the file?"
read -r line
stty size
echo "$line" | tee file
"""


@pytest.mark.slow
@pytest.mark.needs("git")
def test_a_person_types_into_a_run(tmp_path: Path) -> None:
    """L-14: read-only at first; under the grant what is typed decides how the task ends; it is recorded."""
    origin = Origin(tmp_path / "remote")
    with dev(tmp_path / "data") as running:
        at = Deployment(running.url)
        job_id = at.call("/api/queue/jobs", {"type": "task", "payload": payload(origin, SCRIPT)})["id"]
        session = f"/api/task-runs/{job_id}/live-session"
        until_sync(lambda: _status(at, session) == "ready", "the session is ready", 60)
        with terminal(at.command("attach", job_id), env=at.env) as watching:
            watching.until("What is to go into the file?")
            watching.type("nothing\r\x1d")
            assert watching.ended() == 0
        with terminal(at.command("attach", "--write", "--ttl", "5", job_id), env=at.env) as person:
            person.until("the keyboard is yours until")
            person.type("words from the keyboard\r")
            person.until("24 100")
            assert person.ended(60) == 0
            assert "Left the terminal of" in person.text
            assert person.is_cooked
        until_sync(lambda: at.job(job_id)["status"] == "succeeded", "the task has ended", 60)
        kept = at.call(f"/api/queue/jobs/{job_id}/artifacts")["items"]
        assert "terminal/attempt-1.cast" in [each["name"] for each in kept]
    assert origin.file("result", "file") == b"words from the keyboard\n"


@pytest.mark.slow
@pytest.mark.needs("git")
def test_a_person_mends_what_an_agent_cannot(tmp_path: Path) -> None:
    """L-9: taken over, a shell in the work tree under a grant, given back; the fix is published."""
    origin = Origin(tmp_path / "remote")
    scripts = ("echo step one; sleep 2", "cat fixed")
    with dev(tmp_path / "data") as running:
        at = Deployment(running.url)
        job_id = at.call("/api/queue/jobs", {"type": "task", "payload": payload(origin, *scripts)})["id"]
        at.out("jobs", "takeover", job_id)
        session = f"/api/task-runs/{job_id}/live-session"
        until_sync(lambda: "PAUSED FOR OPERATOR" in at.out("jobs", "logs", job_id), "it waits", 60)
        at.out("jobs", "resume", job_id)
        until_sync(lambda: "step one" in at.out("jobs", "logs", job_id), "the first step runs", 60)
        at.out("jobs", "takeover", job_id)
        until_sync(lambda: at.out("jobs", "logs", job_id).count("PAUSED FOR") == 2, "it waits again", 60)
        assert _status(at, session) == "ready"
        with terminal(at.command("attach", "--write", job_id), env=at.env) as person:
            person.until("the keyboard is yours until")
            person.type("echo by a person > fixed\r")
            person.until("a shell in its work tree")
            person.type("cat fixed; pwd\r")
            person.until("/repo")
            person.type("\x1d")
            assert person.ended() == 0
        at.out("jobs", "resume", "--summary", "wrote the file that was missing", job_id)
        until_sync(lambda: at.job(job_id)["status"] == "succeeded", "the task has ended", 60)
    assert origin.file("result", "fixed") == b"by a person\n"


@pytest.mark.slow
@pytest.mark.needs("tmux")
def test_a_person_fixes_a_file_in_the_shell_of_tmux(tmp_path: Path) -> None:
    """L-7, L-9, L-10: entered under a grant; what the shell wrote is published."""
    origin = Origin(tmp_path / "remote")
    with dev(tmp_path / "data") as running:
        at = Deployment(running.url)
        described = payload(origin, "until [ -s file ]; do sleep 0.1; done")
        job_id = at.call("/api/queue/jobs", {"type": "task", "payload": described})["id"]
        session = f"/api/task-runs/{job_id}/live-session"
        until_sync(lambda: _status(at, session) == "ready", "the browser's session is ready", 60)
        at.out("revoke", job_id)
        at.out("live", "--open", "--provider", "tmux", job_id)
        until_sync(lambda: _status(at, session) == "ready", "the session by tmux is ready", 60)
        way = at.out("attach", job_id).strip()
        assert way.startswith("tmux -S ") and way.endswith(" attach -r -t run")
        with terminal(at.command("attach", "--write", "--ttl", "5", job_id), env=at.env) as person:
            person.until("shell")
            # All at once tmux takes for pasted text, and looks for no keys of its own in it.
            subprocess.run(["tmux", "-S", way.split()[2], "select-pane", "-t", "run:0.3"], check=True)
            person.type("echo by hand > file\r")
            person.until("server exited", 60)
            person.ended()
        until_sync(lambda: at.job(job_id)["status"] == "succeeded", "the task has ended", 60)
    assert origin.file("result", "file") == b"by hand\n"


def _status(at: Deployment, path: str) -> str:
    try:
        return str(at.call(path)["session"]["status"])
    except OSError:
        return "none"
