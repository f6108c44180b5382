"""Scripted runs: what is stuck heals or ends as it should, what is healthy is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.settings import Settings
from sluicegate.store import Store
from tests.corpora.judging import SLOTS, judge, rules
from tests.corpora.outcomes import sums

ENOUGH = 57
"""Of the sixty stuck ones."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return rules(settings)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.xdist_group("alone")
async def test_the_corpus(store: Store, settings: Settings, tmp_path: Path) -> None:
    """H-1, H-2, H-3: `-s` prints how each has ended; a third of each part is older than the detectors."""
    judged = await judge(store, settings, tmp_path, SLOTS)
    report = "\n".join([*map(str, judged), *sums(judged)])
    print(f"\n{report}")
    stuck = [each for each in judged if each.corpus == "stuck"]
    healthy = [each for each in judged if each.corpus == "healthy"]
    assert (len(stuck), len(healthy)) == (60, 60)
    assert sum(each.right for each in stuck) >= ENOUGH, report
    assert [each for each in healthy if not each.right] == [], report
