"""Pauses and the progress of a drain in a few lines, for `pause`, `resume`, `pauses` and `status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from sluicegate.cli.output import ago, span
from sluicegate.cli.terminal_text import plain
from sluicegate.client.answers import Metrics

if TYPE_CHECKING:
    from sluicegate.model import NarrowPause
    from sluicegate.operations.pause import PauseStatus

BLOCKERS = 10


def pause_lines(status: PauseStatus) -> Iterator[str]:
    """Running or paused, by whom and why; while draining, what still runs and for how long."""
    system, metrics = status.system, Metrics.of(status)
    if not system.workers_paused:
        yield f"Workers: {click.style('running', fg='green')}"
        return
    yield f"Workers: {click.style(f'paused ({system.mode})', fg='yellow')}, {plain(system.reason or '')!r}"
    since = f"  by {plain(system.requested_by_user_id or '?')}, {ago(system.requested_at)} ago"
    yield since + (f", until {system.until}" if system.until else "")
    if metrics.is_drained:
        yield "  Drained: nothing runs."
        return
    stale = f", {metrics.stale_running} stale" if metrics.stale_running else ""
    yield f"  Not drained: {metrics.running} running{stale}."
    estimate = status.drain.estimate
    if estimate is not None:
        likely, nearly = span(estimate.p50_seconds), span(estimate.p90_seconds)
        yield f"  Likely drained in {likely}, nine times in ten within {nearly}."
    for blocker in status.drain.blockers[:BLOCKERS]:
        worker = plain(blocker.worker_id or "?")
        stale = click.style("  stale", fg="red") if blocker.stale else ""
        yield f"    {blocker.job_id}  {worker}  running {ago(blocker.running_since)}{stale}"
        for remedy in blocker.remedies:
            yield f"      {remedy.message}"
    if (more := metrics.running + metrics.stale_running - BLOCKERS) > 0:
        yield f"    and {more} more"


def narrow_lines(pauses: Sequence[NarrowPause]) -> Iterator[str]:
    """One narrower pause after the other, each with who, why, since and until when."""
    for each in pauses:
        what = f"{each.scope} {plain(each.value)}"
        yield f"{click.style(f'Paused ({each.mode})', fg='yellow')}: {what}, {plain(each.reason or '')!r}"
        since = f"  by {plain(each.requested_by_user_id or '?')}, {ago(each.requested_at)} ago"
        yield since + (f", until {each.until}" if each.until else "")
