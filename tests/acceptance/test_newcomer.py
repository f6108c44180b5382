"""What the README and the tutorial tell a newcomer to do, done: it works as they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dev_process import DevProcess, dev, environment
from tests.support.pages import ROOT, Page


def reaching(running: DevProcess) -> dict[str, str]:
    """The environment in which commands reach the deployment."""
    return environment({"SLUICEGATE_URL": running.url, "SLUICEGATE_REDIS_URL": running.redis_url})


def test_the_examples_greet(tmp_path: Path) -> None:
    with (
        dev(tmp_path / "data", "--no-worker") as running,
        subprocess.Popen([sys.executable, ROOT / "examples/worker.py"], env=reaching(running)) as worker,
    ):
        try:
            producer = subprocess.run(
                [sys.executable, ROOT / "examples/producer.py"],
                env=reaching(running), capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        finally:
            worker.terminate()
        assert worker.wait(20) == 0
    assert producer.returncode == 0, producer.stderr
    lines = producer.stdout.splitlines()
    assert [line.partition(" ")[2] for line in lines if "world!" in line] == [
        "Hello, world!",
        "Bonjour, world!",
        "Hallo, world!",
    ]
    assert lines[-1] == "succeeded - greeted world 3 times"


@pytest.mark.slow
@pytest.mark.needs("git")
def test_the_tutorial_runs(tmp_path: Path) -> None:
    """Every block of commands, in order, in one shell; only the places differ."""

    def here(text: str) -> str:
        return text.replace("/tmp/first", f"{tmp_path}/first")

    with dev(tmp_path / "data") as running:
        done = Page("docs/tutorial/first-task.md", here).run(tmp_path, reaching(running), without="make dev")
    assert done.status == 0, done.errors
    assert "Pushed branch task/" in done.output
    assert "origin/task/" in done.output
