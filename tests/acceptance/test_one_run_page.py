"""The page on holding one run, done as it says, on a deployment that works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.dev_process import dev, environment
from tests.support.pages import Page


@pytest.mark.slow
@pytest.mark.needs("git")
def test_the_page_on_one_run_runs(tmp_path: Path) -> None:
    """L-3, L-5, L-9: let it wait, stop it at once, take it over; each step runs once."""
    with dev(tmp_path / ".sluicegate") as running:

        def here(text: str) -> str:
            text = text.replace("/tmp/one-run", f"{tmp_path}/one-run")
            return text.replace("http://127.0.0.1:8080", running.url)

        env = environment({"SLUICEGATE_URL": running.url})
        done = Page("docs/how-to/one-run.md", here).run(tmp_path, env, seconds=300)
    assert done.status == 0, done.errors
    _, begun, held, resumed, stopped, looked, gone_on, _, given_back, listed = done.outputs
    assert begun.splitlines()[-1].endswith((" queued (paused)", " running (paused)"))
    assert "paused by local-operator at" in held and ": read the plan first" in held
    assert resumed.endswith(" running\n")
    assert stopped.splitlines()[-1].endswith(" running (stopped)")
    first, second = looked.splitlines()
    assert first == second
    assert gone_on.endswith(" running\n")
    assert "taken over by local-operator at" in given_back and ": I know the colour" in given_back
    assert "The colour is blue" in given_back and "succeeded" in given_back
    actions = [event["action"] for event in json.loads(listed)["items"]]
    assert actions == ["pause", "resume", "pause", "resume", "takeover", "resume"]
