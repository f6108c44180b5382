"""The scripted runs that the detectors are judged by: readable, and of every kind."""

from __future__ import annotations

import subprocess

import pytest

from tests.corpora.outcomes import all_runs, recorded
from tests.corpora.runs import STUCK_KINDS, Corpus, Part, load

CLASSES = {"transient_runtime", "stuck_no_progress", "deterministic_policy", "deterministic_repo"}


SIZES: dict[Part, int] = {"first_third": 20, "rest": 40}


@pytest.mark.parametrize("part", SIZES)
@pytest.mark.parametrize("corpus", ["stuck", "healthy"])
def test_each_run_can_be_read(corpus: Corpus, part: Part) -> None:
    runs = load(corpus, part)
    assert len(runs) == SIZES[part]
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        checked = subprocess.run(
            ["bash", "-n"], input=run.script, text=True, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, ""), run.name
        assert not run.script.startswith("#")


@pytest.mark.parametrize("part", SIZES)
def test_stuck_runs_are_of_every_kind_and_end_in_a_known_way(part: Part) -> None:
    runs = load("stuck", part)
    assert {run.kind for run in runs} == set(STUCK_KINDS)
    assert {run.ends for run in runs} <= CLASSES | {"heals"}


def test_the_recorded_outcomes_are_of_these_runs() -> None:
    """What the page shows; healthy ones finish, and at least 57 of the stuck ones end as they should."""
    outcomes = recorded().outcomes
    shown = [(each.corpus, each.part, each.run) for each in outcomes]
    assert shown == [(corpus, part, run.name) for corpus, part, run in all_runs()]
    meant = {run.name: run.ends.replace("heals", "healed") for _, _, run in all_runs()}
    for each in outcomes:
        expected = "finished" if each.corpus == "healthy" else meant[each.run]
        assert not each.right or each.ended == expected, each.run
    assert sum(each.right for each in outcomes if each.corpus == "stuck") >= 57
    assert all(each.right for each in outcomes if each.corpus == "healthy")
