"""`sluicegate runtimes`: what a worker on this machine could run."""

from __future__ import annotations

from pathlib import Path

import click

from sluicegate.cli.services import become


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print an object with `items`.")
@click.option("--capabilities", metavar="LIST", help="What the worker offers, like `git,claude`.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; else ./sluicegate.toml if it is there.",
)
def runtimes(as_json: bool, capabilities: str | None, config: Path | None) -> None:
    """List the runtimes, and whether a worker that is started here, with this environment, can run them.

    For each: its program and version, what lets it in, and whether the settings of the worker offer it. A
    task may also bring its own key in `auth.env`. Exit status: 1 when one is offered that cannot run.

    \b
    Examples:
      sluicegate runtimes
      SLUICEGATE_WORKER_CAPABILITIES=git,claude sluicegate runtimes --json
    """
    flags = {"worker_capabilities": capabilities, "config": config}
    become("worker.runtimes", flags, *(["--json"] if as_json else []))
