"""What the README and the tutorial tell a newcomer to do, done: it works as they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dev_process import DevProcess, dev, environment

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial/first-task.md"


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


@pytest.mark.needs("git")
def test_the_tutorial_runs(tmp_path: Path) -> None:
    """Every block of commands, in order, in one shell; only the places differ."""
    page = TUTORIAL.read_text()
    task = re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0].replace("sleep 5", "sleep 0.1")
    (tmp_path / "first-task.json").write_text(task.replace("/tmp/first", f"{tmp_path}/first"))
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "make dev" not in block]
    script = "\n".join(["set -eux", f'sluicegate() {{ "{sys.executable}" -m sluicegate "$@"; }}', *blocks])
    script = re.sub(r"alias sluicegate=.*\n", "", script).replace("/tmp/first", f"{tmp_path}/first")
    script = script.replace("jobs cancel JOB_ID", "jobs cancel -y $job").replace("JOB_ID", "$job")
    script = re.sub(
        r"^(sluicegate enqueue.*)$", r"job=$(\1 | tee /dev/stderr | cut -d' ' -f1)", script, flags=re.M
    )
    with dev(tmp_path / "data") as running:
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=reaching(running), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Pushed branch task/" in done.stderr
    assert "origin/task/" in done.stdout
