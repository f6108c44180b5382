"""Dead letters as an operator handles them: the how-to page, done."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.support.dev_process import dev, environment
from tests.support.pages import Page


@pytest.mark.slow
@pytest.mark.needs("git")
def test_the_how_to_page_works_as_it_says(tmp_path: Path) -> None:
    """Q-8, 70-10, 70-11: why they died, one redriven, one purged, the rest redriven, one retried."""

    def here(text: str) -> str:
        return text.replace("/tmp/letters", f"{tmp_path}/letters")

    with dev(tmp_path / "data") as running:
        env = environment({"SLUICEGATE_URL": running.url})
        ran = Page("docs/how-to/dead-letters.md", here).run(tmp_path, env)
        with urllib.request.urlopen(running.url + "/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
    assert ran.status == 0, ran.errors + ran.output
    _, died, listed, narrowed, why, _, again, purged, rest, retried = ran.outputs
    assert died.count("dead_letter") == 3
    assert len(listed.splitlines()) == 4 and "letters-delivered.txt" in listed
    assert len(narrowed.splitlines()) == 4, "none of them is unclassified"
    assert "Attempts used up" in why and "letters-delivered.txt" in why
    assert "redriven\n" in again and " succeeded: 2 steps finished" in again
    assert "purged\n" in purged and "0 dead letters would be purged." in purged
    assert rest == "1 dead letter would be redriven.\n1 dead letter redriven.\n"
    assert "retried as" in retried and retried.endswith("0 jobs would be retried.\n")
    # what an alert compares, and how fast they come.
    assert "sluicegate_dead_letters_limit 100000.0" in metrics
    assert 'sluicegate_jobs{status="dead_letter"}' in metrics
    assert 'sluicegate_dead_letters_total{reason="failure"} 3.0' in metrics
