"""`sluicegate drill` as its users run it: it proves something, owns up to faults, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from sluicegate.drill.evidence import Evidence, Notes, Told
from tests.support.dev_process import gone
from tests.support.wait import until_sync

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def drill(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Started with its scratch folder below `folder`; the store in its environment is not there."""
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "sluicegate", "drill", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:1/0"},
    )


def ended(running: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Status, document, what it said meanwhile."""
    said, told = running.communicate(timeout=280)
    return running.returncode, json.loads(said) if said else {}, told


def test_a_quick_drill_keeps_every_promise_and_leaves_nothing(tmp_path: Path) -> None:
    """Q-9, C-12: killed workers and services; the report says so."""
    report = tmp_path / "drill.md"
    status, found, told = ended(
        drill(tmp_path / "scratch", "kill9", "--quick", "--seed", "5", "--json", "--report", str(report))
    )
    assert status == 0, told
    assert found["held"] and found["seed"] == 5
    (kill9,) = found["drills"]
    assert kill9["faults"] == 8
    assert kill9["jobs"] >= 800
    assert [each["promise"] for each in kill9["checks"] if not each["held"]] == []
    assert kill9["figures"]["processes_gone"]["number"] > 0
    assert "8 of 8 faults" in told
    assert "Every promise was kept: " in report.read_text()
    assert os.listdir(tmp_path / "scratch") == []


def test_doctored_evidence_fails_the_drill(tmp_path: Path) -> None:
    """A second accepted completion is found among all others, and the folder stays for who looks into it.

    The rest holds, so what frozen workers completed too late was refused (Q-9).
    """
    scratch = tmp_path / "scratch"
    running = drill(scratch, "freeze", "--jobs", "300", "--quick", "--keep", "--json")

    def accepted() -> list[Told]:
        # Whole lines only: workers are writing.
        return [told for path in scratch.glob("*/freeze") for told in Evidence.read(path / "evidence").told]

    try:
        first = until_sync(accepted, "a completion is accepted", timeout=60)[0]
        (folder,) = scratch.glob("*/freeze/evidence")
        Notes(folder, "forged").write(msgspec.structs.replace(first, token=first.token + 1))
    finally:
        status, found, told = ended(running)
    assert status == 1, told
    broken = [each for each in found["drills"][0]["checks"] if not each["held"]]
    assert [each["promise"] for each in broken] == ["No job has two accepted completions"]
    assert first.job in broken[0]["broken"][0]
    assert found["drills"][0]["figures"]["late_refused"] > 0
    assert "logs and evidence are kept in" in told
    assert list(scratch.glob("*/freeze/services.log"))


def test_an_interrupted_drill_ends_all_it_started_and_proves_nothing(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    running = drill(scratch, "slow-store", "--quick", "--json")
    until_sync(
        lambda: any(Evidence.read(each).started for each in scratch.glob("*/slow-store/evidence")),
        "the load runs", timeout=60,
    )  # fmt: skip
    family = psutil.Process(running.pid).children(recursive=True)
    assert len(family) >= 8, "a store, three services, four workers"
    running.send_signal(signal.SIGINT)
    status, found, told = ended(running)
    assert (status, found["held"], found["interrupted"]) == (130, False, True), told
    gone(family)
    assert os.listdir(scratch) == []
