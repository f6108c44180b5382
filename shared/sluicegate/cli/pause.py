"""`sluicegate pause` and `sluicegate resume`: the switch that stops new work on all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.cli.durations import SECONDS
from sluicegate.cli.pause_lines import pause_lines
from sluicegate.times import now_ms, to_rfc3339

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.operations.pause import PauseStatus

LONGEST_SECONDS: Final = 365 * 86_400


@click.command()
@click.option(
    "--mode",
    type=click.Choice(["drain", "quiesce"]),
    default="drain",
    show_default=True,
    help="drain: running jobs end. quiesce: they wait at their next checkpoint.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; everyone sees it.")
@click.option("--for", "seconds", type=SECONDS, metavar="TIME", help="Resume by itself after 90, 30m or 2h.")
@click.option("--until", metavar="TIME", help="Resume by itself at 2026-01-31T12:00:00Z.")
@json_option
@url_option
def pause(
    mode: str, reason: str, seconds: float | None, until: str | None, as_json: bool, url: str | None
) -> None:
    """Stop all workers from starting jobs. Nothing in the queue is touched.

    Paused again, the pause is described anew: without --for or --until it lasts until a resume.

    \b
    Examples:
      sluicegate pause --mode drain --reason "upgrade to 1.4"
      sluicegate pause --mode quiesce --reason "new disk" --for 30m
    """
    ends = _end(seconds, until)
    _show(run(url, lambda client: client.pause(mode, reason, until=ends)), as_json)


@click.command()
@click.option("--force", is_flag=True, help="Resume though jobs still run.")
@click.option("--reason", metavar="TEXT", help="Why; kept in the audit.")
@yes_option
@json_option
@url_option
def resume(force: bool, reason: str | None, yes: bool, as_json: bool, url: str | None) -> None:
    """Let the workers start jobs again. Refused while jobs still run, unless forced.

    \b
    Example:
      sluicegate resume
    """

    async def work(client: Client) -> PauseStatus:
        if force:
            counts = await client.counts()
            if not counts.is_drained:
                still = f"{counts.running} running, {counts.stale_running} stale"
                confirm(f"The workers are not drained ({still}). Resume all the same?", yes)
        return await client.resume(force, reason)

    _show(run(url, work), as_json)


def _end(seconds: float | None, until: str | None) -> str | None:
    """A length is counted from now by this host's clock."""
    if seconds is None:
        return until
    if until is not None:
        raise click.UsageError("--for and --until both say when the pause ends: give one")
    if seconds > LONGEST_SECONDS:
        raise click.UsageError("--for is at most 365d")
    return to_rfc3339(now_ms() + round(seconds * 1000))


def _show(status: PauseStatus, as_json: bool) -> None:
    if as_json:
        output.document(status)
        return
    for line in pause_lines(status):
        click.echo(line)
