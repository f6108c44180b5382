"""The scripted runs that the detectors are judged by: readable, and of every kind."""

from __future__ import annotations

import subprocess

import pytest

from tests.corpora.runs import STUCK_KINDS, Corpus, load

CLASSES = {"transient_runtime", "stuck_no_progress", "deterministic_policy", "deterministic_repo"}


@pytest.mark.parametrize("corpus", ["stuck", "healthy"])
def test_each_run_can_be_read(corpus: Corpus) -> None:
    runs = load(corpus, "first_third")
    assert len(runs) == 20
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        checked = subprocess.run(
            ["bash", "-n"], input=run.script, text=True, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, ""), run.name
        assert not run.script.startswith("#")


def test_stuck_runs_are_of_every_kind_and_end_in_a_known_way() -> None:
    runs = load("stuck", "first_third")
    assert {run.kind for run in runs} == set(STUCK_KINDS)
    assert {run.ends for run in runs} <= CLASSES | {"heals"}
