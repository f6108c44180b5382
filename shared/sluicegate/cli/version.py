"""`sluicegate version`."""

from __future__ import annotations

import click

import sluicegate


@click.command()
def version() -> None:
    """Print the version, like `sluicegate 1.2.3`."""
    click.echo(f"sluicegate {sluicegate.__version__}")
