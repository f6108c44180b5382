"""The page on trying steps again, done as it says, on a deployment that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dev_process import dev, environment
from tests.support.pages import Page


@pytest.mark.slow
@pytest.mark.needs("git")
def test_the_page_on_recovering_a_step_runs(tmp_path: Path) -> None:
    """H-10, H-5: in the same files, in rebuilt ones with the tree as it was saved, from an earlier step."""
    with dev(tmp_path / ".sluicegate") as running:

        def here(text: str) -> str:
            text = text.replace("/tmp/recovery", f"{tmp_path}/recovery")
            return text.replace("http://127.0.0.1:8080", running.url)

        env = environment({"SLUICEGATE_URL": running.url})
        done = Page("docs/how-to/recover-a-step.md", here).run(tmp_path, env, seconds=300)
    assert done.status == 0, done.errors
    _, again, rebuilt, trees, gone_back = done.outputs
    attempts = [line.split() for line in again.splitlines() if line.startswith(("1 (", "2 ("))]
    assert [(line[1], line[2]) for line in attempts] == [
        ("(choose)", "1.1"),
        ("(ask)", "1.1"),
        ("(ask)", "1.2"),
    ]
    assert "interrupted" in attempts[1] and "running" in attempts[2]
    assert rebuilt.splitlines()[-3:] == ["no cache", "cache", "no cache"]
    told, saved = trees.split()
    assert told == saved
    assert "succeeded" in gone_back and gone_back.count("Started step 1 (choose)") == 2
