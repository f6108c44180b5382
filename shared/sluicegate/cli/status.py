"""`sluicegate status`: whether the workers run, what waits, who is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from sluicegate.cli import output
from sluicegate.cli.connection import json_option, run, url_option
from sluicegate.cli.pause_lines import narrow_lines, pause_lines
from sluicegate.client.answers import Metrics

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import Pauses
    from sluicegate.operations.pause import PauseStatus
    from sluicegate.store.workers import Presence


@click.command()
@json_option
@url_option
def status(as_json: bool, url: str | None) -> None:
    """Show the pause state, the numbers of jobs, and the workers.

    With --json: {"workerPause": ..., "pauses": ..., "workers": ...}, as /api/system/worker-pause, pauses and
    workers.

    \b
    Example:
      sluicegate status --json
    """

    async def work(client: Client) -> tuple[PauseStatus, Pauses, Sequence[Presence]]:
        return await client.pause_state(), await client.pauses(), await client.workers()

    paused, pauses, workers = run(url, work)
    if as_json:
        output.document({"workerPause": paused, "pauses": pauses, "workers": {"items": workers}})
        return
    for line in (*pause_lines(paused), *narrow_lines(pauses.items)):
        click.echo(line)
    counts = Metrics.of(paused)
    numbers = [f"{counts.queued} queued", f"{counts.delayed} delayed", f"{counts.running} running"]
    if counts.stale_running:
        numbers.append(click.style(f"{counts.stale_running} stale", fg="red"))
    click.echo(f"Jobs:    {', '.join(numbers)}")
    click.echo()
    rows = [
        [each.worker_id, each.state, f"{len(each.jobs)}/{each.slots}", output.ago(each.last_seen),
         ",".join(each.capabilities)]
        for each in workers
    ]  # fmt: skip
    output.table(("WORKER", "STATE", "JOBS", "SEEN", "CAPABILITIES"), rows, empty="No workers.")
