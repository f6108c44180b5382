"""Scripted runs: what is stuck heals or ends as it should, what is healthy is left alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sluicegate.settings import Settings
from sluicegate.store import Store
from tests.corpora.judging import judge, table

SLOTS = 6
ENOUGH = 57
"""Of the sixty stuck ones."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(
        settings, allow_local_repositories=True, retry_backoff_base_seconds=0.05, retry_backoff_jitter=0
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.xdist_group("alone")
async def test_the_corpus(store: Store, settings: Settings, tmp_path: Path) -> None:
    """H-1, H-2, H-3: printed as a table with `-s`; a third of each part is older than the detectors."""
    judged = await judge(store, settings, tmp_path, SLOTS)
    report = table(judged)
    print(f"\n{report}")
    wrong = [each.run.name for each in judged if not each.right]
    stuck = [each for each in judged if each.corpus == "stuck"]
    assert len(judged) == 120
    assert sum(each.right for each in stuck) >= ENOUGH, report
    assert [name for name in wrong if name not in {each.run.name for each in stuck}] == [], report
