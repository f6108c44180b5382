"""`sluicegate config`: the settings as they take effect here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sluicegate.cli import output


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print an object of names and values.")
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; else SLUICEGATE_CONFIG, else ./sluicegate.toml if it is there.",
)
def config(as_json: bool, file: Path | None) -> None:
    """Show the effective settings of every service, from the environment and the file; secrets are masked.

    \b
    Example:
      sluicegate config --json
    """
    from sluicegate.settings import PREFIX, STRUCTS, known_fields, load, masked, unknown_variables

    effective: dict[str, Any] = {}
    for kind in STRUCTS:
        effective |= masked(load(kind, config=file))
    for name in unknown_variables():
        click.secho(f"Warning: {name} is no setting; is it misspelt?", fg="yellow", err=True)
    if as_json:
        output.document(effective)
        return
    defaults = {name: field.default for name, field in known_fields().items()}
    rows = [
        [PREFIX + name.upper(), _text(value), "" if _text(value) == _text(defaults[name]) else "changed"]
        for name, value in effective.items()
    ]
    output.table(("VARIABLE", "VALUE", ""), rows, empty="No settings.")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
