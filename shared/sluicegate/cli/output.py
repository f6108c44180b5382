"""What commands print: tables with colour for people at a terminal, plain columns otherwise, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import click
import msgspec

from sluicegate.cli.terminal_text import plain
from sluicegate.times import from_rfc3339, now_ms

COLOURS: Final = {
    "queued": "blue",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "dead_letter": "red",
    "idle": "green",
    "busy": "cyan",
    "paused": "yellow",
    "paused_at_checkpoint": "yellow",
    "stopping": "yellow",
}
MISSING: Final = "-"
GAP: Final = 2
SHORTEST_LAST: Final = 10


def document(value: Any) -> None:
    """The JSON of a struct or of builtins, as REST has it, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def line(value: Any) -> None:
    """The same on one line: for streams of documents."""
    click.echo(msgspec.json.encode(value))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Rows under headings. At a terminal the last column is cut to fit; elsewhere nothing is.

    Text from jobs is shown without control characters, so that it cannot steer the terminal.
    """
    if not rows:
        click.echo(empty, err=True)
        return
    rows = [
        [plain(cell) or (MISSING if heading else "") for heading, cell in zip(headings, row, strict=True)]
        for row in rows
    ]
    if sys.stdout.isatty():
        _at_terminal(headings, rows)
        return
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    for row in (headings, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _at_terminal(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """All columns whole but the last, which gets what is left of the line; too narrow a terminal wraps."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = Console().width
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    before_last = sum(widths[:-1]) + GAP * (len(headings) - 1)
    widths[-1] = max(SHORTEST_LAST, min(widths[-1], columns - before_last))
    grid = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold", pad_edge=False)
    for heading, width in zip(headings, widths, strict=True):
        grid.add_column(heading, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        grid.add_row(*(Text(cell, style=COLOURS.get(cell.partition(" ")[0], "")) for cell in row))
    Console(width=max(columns, before_last + widths[-1])).print(grid)


def pairs(values: Sequence[tuple[str, str | None]]) -> None:
    """Names and values, one a line; what is not set is left out."""
    shown = [(name, value) for name, value in values if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        text = plain(value)
        styled = click.style(text, fg=COLOURS.get(text.partition(" ")[0]))
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {styled}")


@contextmanager
def progress(text: str, total: int | None, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while long work is done, gone with the block; call what it gives with each advance.

    Without a total the line counts.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda advance: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    counting = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,.0f}"))
    columns = Progress.get_default_columns() if total is not None else counting
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda advance: bar.advance(task, advance)


def note(text: str) -> None:
    """A hint for a person at the terminal, beside the output and never part of it."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        click.secho(text, dim=True, err=True)


def ago(time: str | None) -> str:
    """'2026-01-31T12:00:00.000Z' -> '3m' (by this host's clock); '-' for no time."""
    return MISSING if time is None else span((now_ms() - from_rfc3339(time)) / 1000)


def span(seconds: float) -> str:
    """4.2 -> '4s', 200 -> '3m', 7300 -> '2h', 200_000 -> '2d'; never negative."""
    whole = timedelta(seconds=max(0, int(seconds)))
    if whole.days:
        return f"{whole.days}d"
    for size, unit in ((3600, "h"), (60, "m")):
        if whole.seconds >= size:
            return f"{whole.seconds // size}{unit}"
    return f"{whole.seconds}s"
