"""The page about doctor, done as it says, on a deployment that works (60-3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.dev_process import dev, environment
from tests.support.pages import Page


@pytest.mark.slow
def test_the_page_on_doctor_runs(tmp_path: Path) -> None:
    """Every command, against a deployment with a job in it; all is well."""
    with dev(tmp_path / "data") as running:
        env = environment({"SLUICEGATE_URL": running.url, "SLUICEGATE_REDIS_URL": running.redis_url})
        done = Page("docs/how-to/doctor.md").run(tmp_path, env)
    assert done.status == 0, done.errors
    assert done.output.count("Nothing differs") == 2
    assert json.loads((tmp_path / "checkup.json").read_text())["healthy"] is True
