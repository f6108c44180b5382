"""Why a job does not run, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sluicegate.cli.terminal_text import plain

if TYPE_CHECKING:
    from sluicegate.operations.reasons import Reason, Why


def show(why: Why) -> None:
    """Each reason with what would change it; one line when there is none."""
    if not why.reasons:
        waits = "nothing known keeps it waiting" if why.status == "queued" else f"it is {why.status}"
        click.echo(f"{why.job_id}: {waits}")
    for number, reason in enumerate(why.reasons, 1):
        when = plain(_when(reason))
        click.echo(f"{number}. {click.style(plain(reason.message), bold=True)}{when and f' ({when})'}")
        click.echo(f"   {plain(reason.remedy)}")


def _when(reason: Reason) -> str:
    parts = [
        f"since {reason.since}" if reason.since else "",
        f"until {reason.until}" if reason.until else "",
        f"by {reason.by}" if reason.by else "",
    ]
    return ", ".join(part for part in parts if part)
