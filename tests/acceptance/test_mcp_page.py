"""The page about MCP, done as it says: an agent on the official client before a whole deployment (60-2)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.dev_process import dev, environment
from tests.support.pages import Page


@pytest.mark.slow
def test_the_page_on_mcp_runs(tmp_path: Path) -> None:
    """Tools listed, a job enqueued, watched to its end and cancelled, a wrong call told."""
    with dev(tmp_path / "data", "--no-worker") as running:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = environment({"SLUICEGATE_URL": running.url, "PATH": path})
        done = Page("docs/how-to/mcp.md").run(tmp_path, env)
    assert done.status == 0, done.errors
    names, agent, paused = done.outputs
    assert '"name":"queue.enqueue"' in names
    assert [line.split()[1] for line in agent.splitlines() if line.startswith("2")] == [
        "job.enqueued", "job.cancel.requested", "job.cancelled",
    ]  # fmt: skip
    assert "True invalid_tool_arguments: " in agent
    assert '"workersPaused":false' in paused
