"""What `sluicegate drill` refuses before it starts anything, and what it puts aside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from sluicegate.cli.main import main
from sluicegate.drill.drills import DRILLS, sizes
from sluicegate.drill.scratch import no_settings, scratch_plan, scratch_services


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chaos"], "'chaos' is not one of 'all', 'kill9', 'freeze', 'store-restart', 'slow-store'"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--kills", "many"], "'many' is not a valid integer"),
        (["--workers", "1"], "1 is not in the range"),
        (["--limit", "soon"], "'soon' is not a length of time"),
        (["--report", "no/such/folder/drill.md"], "there is no folder no/such/folder"),
        (["--redis-url", "redis://127.0.0.1:6379/0"], "No such option"),
    ],
)
def test_wrong_words_are_refused(words: list[str], said: str) -> None:
    """It takes no store: a drill on one that somebody needs must not be possible."""
    done = CliRunner().invoke(main, ["drill", *words])
    assert done.exit_code == 2
    assert said in done.stderr


def test_settings_for_another_deployment_are_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store that the environment or a file names is somebody's."""
    monkeypatch.chdir(tmp_path)
    Path("sluicegate.toml").write_text('redis_url = "redis://in-the-file:6379/0"\n')
    monkeypatch.setenv("SLUICEGATE_REDIS_URL", "redis://in-the-environment:6379/0")
    before = dict(os.environ)
    with no_settings(tmp_path):
        plan = scratch_plan(tmp_path / "drill", 2.0)
        left = {name for name in os.environ if name.startswith("SLUICEGATE_")}
    assert plan.redis_url is None
    assert plan.store_config == {"appendfsync": "always"}, "what is acknowledged is on disk"
    assert left == {"SLUICEGATE_CONFIG"}
    assert dict(os.environ) == before


def test_every_second_worker_goes_through_the_api(tmp_path: Path) -> None:
    with no_settings(tmp_path):
        plan = scratch_plan(tmp_path / "drill", 2.0)
    chosen = scratch_services(plan, 4, tmp_path, 1234)
    assert [each.name for each in chosen if each.first_to_stop] == [f"worker-{n}" for n in (1, 2, 3, 4)]
    ways = [each.variables.get("SLUICEGATE_WORKER_TRANSPORT") for each in chosen if each.first_to_stop]
    assert ways == [None, "http", None, "http"]
    assert {each.variables["SLUICEGATE_REDIS_URL"] for each in chosen} == {"redis://127.0.0.1:1234/0"}


def test_the_set_is_as_large_as_it_must_be() -> None:
    """60-3: at least 10,000 jobs and 100 kills, shared out."""
    shared = sizes(list(DRILLS.values()), jobs=10_500, kills=100, workers=4, calm_seconds=4.0)
    assert sum(size.jobs for size in shared) >= 10_000
    assert [size.faults for size in shared] == [100, 10, 10, 10]
    (alone,) = sizes([DRILLS["freeze"]], jobs=50, kills=8, workers=2, calm_seconds=1.0)
    assert (alone.jobs, alone.faults) == (50, 2), "a drill without a fault would prove nothing"
