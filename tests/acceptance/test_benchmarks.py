"""The benchmarks run and say what they measured; how fast anything was is no matter here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.wait import until_sync

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks"]
LASTING = [*COMMAND, "--quick", "--runs", "50"]


def measure(*arguments: str, seconds: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.mark.slow
def test_a_quick_run_writes_what_it_measured(tmp_path: Path) -> None:
    subjects = ["ceiling", "enqueue", "drain", "pickup"]
    only = [word for name in subjects for word in ("--only", name)]
    ended = measure("--quick", "--runs", "1", "--json", str(tmp_path / "figures.json"), *only)
    assert ended.returncode == 0, ended.stderr
    written: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    assert (written["runs"], written["quick"]) == (1, True)
    assert set(written["machine"]) >= {"processor", "cores", "python", "server", "sluicegate", "load"}
    assert [each["name"] for each in written["subjects"]] == subjects
    for subject in written["subjects"]:
        assert subject["failure"] is None
        assert subject["figures"], subject["name"]
        for figure in subject["figures"]:
            assert figure["value"] > 0, figure
            assert len(figure["runs"]) == 1
            assert figure["name"] in ended.stdout
            if figure["ceiling"] is not None:
                assert figure["ratio"] == pytest.approx(figure["value"] / figure["ceiling"]["value"])
    assert {figure["name"]: figure["target"] for figure in written["subjects"][2]["figures"]} == {
        "drain by one worker, 200 slots": 20_000
    }


@pytest.mark.slow
def test_a_thousand_clients_are_measured_with_few(tmp_path: Path) -> None:
    """70-62, 70-64: streams and long polls. One reader for all streams is the measurement's own check."""
    only = [word for name in ("http-work", "streams", "long-polls") for word in ("--only", name)]
    ended = measure("--quick", "--runs", "1", "--json", str(tmp_path / "figures.json"), *only)
    assert ended.returncode == 0, ended.stderr
    written: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    found = {figure["name"]: figure for each in written["subjects"] for figure in each["figures"]}
    for name in ("event to 50 streams, p99", "pickup, 50 waiting claims, p99"):
        assert found[name]["value"] > 0


@pytest.mark.slow
def test_being_watched_is_measured(tmp_path: Path) -> None:
    """60-5: what a read of the metrics takes, and what they cost a drain."""
    only = [word for name in ("scrape", "observed", "traced") for word in ("--only", name)]
    ended = measure("--quick", "--runs", "1", "--json", str(tmp_path / "figures.json"), *only)
    assert ended.returncode == 0, ended.stderr
    written: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    targets = {figure["name"]: figure["target"] for each in written["subjects"] for figure in each["figures"]}
    assert targets["read of /metrics, 20,000 jobs in 1,000 lanes"] == 20
    assert targets["drain throughput that metrics and logs cost"] == 5
    assert targets["drain throughput that tracing each no-op job costs"] is None


@pytest.mark.slow
def test_open_dashboards_are_measured_and_what_counting_costs(tmp_path: Path) -> None:
    """60-4, 70-62: a page changes twice a second at most; ten times the other limits are allowed here."""
    only = [word for name in ("dashboards", "flow") for word in ("--only", name)]
    ended = measure("--quick", "--runs", "1", "--json", str(tmp_path / "figures.json"), *only)
    assert ended.returncode == 0, ended.stderr
    written: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    found = {figure["name"]: figure for each in written["subjects"] for figure in each["figures"]}
    cost = found["200 open dashboards, 100 events/s"]
    assert cost["target"] == 20 and 0 < cost["value"] < 100
    assert 0 < found["changes sent to one of them"]["value"] <= 2.5
    assert found["first byte of the overview, 100,000 jobs stored"]["value"] < 500
    assert found["enqueue, claim and complete by 100"]["ratio"] > 0


@pytest.mark.slow
def test_pauses_are_measured(tmp_path: Path) -> None:
    """70-62, P-1, P-7: no claim after a pause is the measurement's own finding, whatever the machine."""
    only = [
        word
        for name in ("pause-rounds", "pause-seen", "quiesce", "quiesce-tasks")
        for word in ("--only", name)
    ]
    ended = measure("--quick", "--runs", "1", "--json", str(tmp_path / "figures.json"), *only)
    assert ended.returncode == 0, ended.stdout
    written: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    found = {figure["name"]: figure for each in written["subjects"] for figure in each["figures"]}
    assert found["claims after the 200 of a pause, 5 pauses"]["value"] == 0
    assert found["pause, from its send until 8 workers saw it, p99"]["value"] > 0
    assert found["quiesce, 6 jobs, from the step's end, p99"]["value"] > 0
    assert found["quiesce, 6 tasks, from the step's end, p99"]["value"] > 0


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_healing_is_measured(tmp_path: Path) -> None:
    """70-62, H-1, H-5: a reset to another tree than that of the last step fails the measurement."""
    only = [word for name in ("step-overhead", "hard-reset", "detection") for word in ("--only", name)]
    ended = measure("--quick", "--runs", "1", "--json", str(tmp_path / "figures.json"), *only, seconds=190)
    assert ended.returncode == 0, ended.stdout
    written: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    found = {figure["name"]: figure for each in written["subjects"] for figure in each["figures"]}
    assert found["overhead of a step, 200 files"]["value"] > 0
    assert found["hard reset, 10 finished steps, 400 files"]["value"] > 0
    for what in ("wall clock", "silence", "no progress"):
        assert f"{what}, from its limit to the decision, latest" in found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """While commands of jobs run under the measured worker."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*LASTING, "--only", "cancel"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            process = psutil.Process(run.pid)
            until_sync(lambda: list(tmp_path.glob("sluicegate-bench-*/trap-*.waits")), "a command runs", 60)
            started = process.children(recursive=True)
            assert len(started) >= 4  # the store, queue_api, the worker, the command's guards and itself
        finally:
            run.send_signal(number)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    _, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []
    assert list(tmp_path.iterdir()) == []


def test_the_subjects_are_listed() -> None:
    ended = measure("--list")
    assert ended.returncode == 0
    assert [line.split()[0] for line in ended.stdout.splitlines()] == [
        "ceiling", "enqueue", "drain", "observed", "traced", "pickup", "pickup-200", "delayed", "cancel",
        "cancel-http", "cancel-tree", "cancel-unheard", "pause", "pause-rounds", "pause-seen", "quiesce",
        "quiesce-tasks", "http-enqueue", "http-work", "streams", "long-polls", "artifact", "idle", "memory",
        "claim-cost", "scrape", "flow", "redact", "step-overhead", "step-overhead-5k", "hard-reset",
        "detection", "dashboards", "terminal-echo", "terminal-far", "terminal-flood", "terminal-cut",
    ]  # fmt: skip


def test_an_unknown_subject_is_refused_by_name() -> None:
    ended = measure("--only", "speed")
    assert ended.returncode == 2
    assert "no subject speed; there are ceiling, enqueue" in ended.stderr
