"""`sluicegate pause` and `sluicegate resume`: the switch that stops new work on all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.cli.pause_lines import pause_lines

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.operations.pause import PauseStatus


@click.command()
@click.option(
    "--mode",
    type=click.Choice(["drain", "quiesce"]),
    default="drain",
    show_default=True,
    help="drain: running jobs end. quiesce: they wait at their next checkpoint.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; everyone sees it.")
@json_option
@url_option
def pause(mode: str, reason: str, as_json: bool, url: str | None) -> None:
    """Stop all workers from starting jobs. Nothing in the queue is touched.

    \b
    Example:
      sluicegate pause --mode drain --reason "upgrade to 1.4"
    """
    _show(run(url, lambda client: client.pause(mode, reason)), as_json)


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


def _show(status: PauseStatus, as_json: bool) -> None:
    if as_json:
        output.document(status)
        return
    for line in pause_lines(status):
        click.echo(line)
