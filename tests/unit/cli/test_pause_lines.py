"""The pause and its drain in lines for people: what holds it up, and what to do about it."""

from __future__ import annotations

import click

from sluicegate.cli.pause_lines import pause_lines
from sluicegate.model import SystemState
from sluicegate.operations.drain import Blocker, Drain, Remedy
from sluicegate.operations.pause import LatestAudit, PauseStatus


def test_a_stale_job_comes_with_its_remedies() -> None:
    """P-10: and what runs does not."""
    running = Blocker(job_id="job-1", worker_id="w-1", running_since=None, lease_expires_at=None)
    stale = Blocker(
        job_id="job-2", worker_id="w-\x1b\x07", running_since=None, lease_expires_at=None, stale=True,
        remedies=[Remedy(action="cancel", message="cancel it"), Remedy(action="resume", message="resume")],
    )  # fmt: skip
    metrics = {"queued": 0, "delayed": 0, "running": 1, "staleRunning": 1, "isDrained": False}
    status = PauseStatus(
        system=SystemState(workers_paused=True, mode="drain", reason="upgrade", version=1),
        metrics=metrics,
        drain=Drain(blockers=[running, stale], estimate=None),
        audit=LatestAudit([]),
    )
    lines = [click.unstyle(line) for line in pause_lines(status)]
    at = lines.index("  Not drained: 1 running, 1 stale.") + 1
    assert [line.split() for line in lines[at:]] == [
        ["job-1", "w-1", "running", "-"],
        ["job-2", "w-", "running", "-", "stale"],
        ["cancel", "it"],
        ["resume"],
    ]
