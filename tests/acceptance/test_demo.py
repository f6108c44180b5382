"""`sluicegate dev --demo` shows the queue's life, and ends with 0 only if all of it happened (70-36)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.support.dev_process import command, environment, gone

FACTS = (
    "a task in three steps succeeded and its branch was published",
    "a task hung, was noticed, and healed",
    "paused, both tasks waited; resumed, both started",
    "a task was cancelled while it ran, with nothing left alive",
    "a task failed twice and became a dead letter",
    "the dead letter was redriven and succeeded",
)


def demo(folder: Path, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The demo, headless, with its scratch folder under `folder`."""
    folder.mkdir()
    return subprocess.Popen(
        command("--demo"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment({"TMPDIR": str(folder), **(variables or {})}),
    )


def test_all_of_it_happens_headless_and_nothing_is_left(tmp_path: Path) -> None:
    """70-36, C-12: published diff, receipt, pause, dead letter; no process and no file afterwards."""
    with demo(tmp_path / "scratch") as running:
        assert running.stdout
        family: list[psutil.Process] = []
        said = ""
        for line in running.stdout:
            said += line
            if "cancelling it" in line:
                family = psutil.Process(running.pid).children(recursive=True)
        assert running.wait(60) == 0, said
    for fact in FACTS:
        assert f"+ {fact}" in said
    assert "+    return sum(numbers) / len(numbers) if numbers else 0" in said
    assert "SIGKILL to 3 processes" in said, "the stuck task hears no other signal"
    assert "\x1b" not in said, "no colour without a terminal"
    assert len(family) > 5, "the store, four services and the stuck task were running"
    gone(family)
    assert os.listdir(tmp_path / "scratch") == []


@pytest.mark.slow
def test_a_task_that_does_not_end_well_fails_the_demo(tmp_path: Path) -> None:
    """70-36: non-zero, naming what did not happen."""
    with demo(tmp_path / "scratch", {"SLUICEGATE_STEP_TIMEOUT_SECONDS": "0.001"}) as running:
        said, _ = running.communicate(timeout=90)
    assert running.returncode == 1, said
    assert "The demo failed: the healthy task is " in said
    assert "The services' log ends with:" in said
    assert FACTS[0] not in said


@pytest.mark.slow
def test_an_interrupted_demo_is_not_a_success(tmp_path: Path) -> None:
    with demo(tmp_path / "scratch") as running:
        assert running.stdout
        while "enqueued as" not in running.stdout.readline():
            assert running.poll() is None
        family = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    gone(family)
    assert os.listdir(tmp_path / "scratch") == []
