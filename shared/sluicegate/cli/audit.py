"""`sluicegate audit`: who did what, as a table, as JSON, or all of it into a file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, get_args

import click

from sluicegate.cli import output
from sluicegate.cli.connection import json_option, run, url_option
from sluicegate.cli.durations import PAST
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import AuditAction, AuditControl

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.store.audit import AuditEntry

STDOUT: Final = "-"
PAGE: Final = 200
SHOWN: Final = 50
CONTROLS: Final = get_args(AuditControl)
ACTIONS: Final = get_args(AuditAction)


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


@click.command()
@click.option("--control", type=click.Choice(CONTROLS), metavar="NAME", help=f"Only of {_listed(CONTROLS)}.")
@click.option("--action", type=click.Choice(ACTIONS), metavar="NAME", help=f"Only each {_listed(ACTIONS)}.")
@click.option("--actor", metavar="USER", help="Only what this user did; `system` for what ended by itself.")
@click.option(
    "--target", metavar="TEXT",
    help="Only what was done to this: a job's or token's id, or type:NAME, repository:REPO, capability:NAME, "
    "worker:ID.",
)  # fmt: skip
@click.option("--since", type=PAST, metavar="TIME", help="From 2026-01-31T12:00:00Z on, or from 2h ago.")
@click.option("--until", type=PAST, metavar="TIME", help="Before 2026-01-31T12:00:00Z, or before 30m ago.")
@click.option("--limit", type=click.IntRange(min=1), help=f"Most entries. [{SHOWN}]")
@click.option("--cursor", metavar="TEXT", help="The entries that begin here (printed below a table).")
@click.option(
    "--export", metavar="FILE", help="Write all that fit to a file, a JSON document a line; - is stdout."
)
@click.option("--force", is_flag=True, help="Export over a file that is there already.")
@json_option
@url_option
def audit(
    limit: int | None, cursor: str | None, export: str | None, force: bool, as_json: bool, url: str | None,
    **chosen: str | None,
) -> None:  # fmt: skip
    """Show who did what, the latest first: pauses, cancels, control of runs, dead letters, tokens.

    \b
    Examples:
      sluicegate audit --control worker_pause --since 7d
      sluicegate audit --target 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate audit --until 2026-02-01T00:00:00Z --export audit-january.jsonl
    """
    if export is not None:
        if as_json or limit is not None or cursor is not None:
            raise click.UsageError(
                "--export writes all that fit, as JSON: leave --json, --limit and --cursor out"
            )
        _export(url, chosen, export, force)
        return
    if force:
        raise click.UsageError("--force goes with --export only")
    found = run(url, lambda client: _gathered(client, chosen, limit or SHOWN, cursor))
    if as_json:
        output.document(found)
        return
    rows = [
        [each.created_at, each.actor_user_id, each.control, _done(each), each.target or "", each.reason or ""]
        for each in found.items
    ]
    output.table(("TIME", "BY", "CONTROL", "ACTION", "TARGET", "REASON"), rows, empty="Nothing in the audit.")
    if found.next_cursor:
        output.note(f"More: --cursor {found.next_cursor}")


def _done(entry: AuditEntry) -> str:
    return " ".join(filter(None, (entry.action, entry.mode, "forced" if entry.forced else None)))


async def _pages(
    client: Client, chosen: dict[str, Any], most: int | None = None, cursor: str | None = None
) -> AsyncIterator[Listed[AuditEntry]]:
    """Page by page, up to so many entries: one page of a filter may be short, or empty, before the end."""
    while True:
        page = await client.audit(**chosen, cursor=cursor, limit=PAGE if most is None else min(most, PAGE))
        yield page
        cursor = page.next_cursor
        most = None if most is None else most - len(page.items)
        if cursor is None or most == 0:
            return


async def _gathered(
    client: Client, chosen: dict[str, Any], most: int, cursor: str | None
) -> Listed[AuditEntry]:
    found: Listed[AuditEntry] = Listed(items=[], next_cursor=None)
    async for page in _pages(client, chosen, most, cursor):
        found = Listed(items=found.items + page.items, next_cursor=page.next_cursor)
    return found


def _export(url: str | None, chosen: dict[str, Any], target: str, force: bool) -> None:
    place = None if target == STDOUT else _place(target, force)
    if place is None:
        stdout = sys.stdout.buffer
        run(url, lambda client: _write(client, chosen, stdout, shown=not stdout.isatty()))
        stdout.flush()
        return
    try:
        number = _replace(url, chosen, place, force)
    except OSError as error:
        raise click.ClickException(f"{place} cannot be written: {error.strerror}") from error
    output.note(f"{place}: {number:,} entries")


def _replace(url: str | None, chosen: dict[str, Any], place: Path, force: bool) -> int:
    """Nobody sees half an export: the file is there when all of it is on disk. Raises OSError."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".sluicegate-") as folder:
        copy = Path(folder) / "audit"
        with copy.open("xb") as file:
            number = run(url, lambda client: _write(client, chosen, file, shown=True))
            file.flush()
            os.fsync(file.fileno())
        _require_room(place, force)  # it may have come meanwhile
        copy.replace(place)
    return number


async def _write(client: Client, chosen: dict[str, Any], file: IO[bytes], *, shown: bool) -> int:
    """The lines of all entries that fit, the latest first; how many."""
    import msgspec

    number = 0
    with output.progress("Audit entries", None, shown=shown) as advance:
        async for page in _pages(client, chosen):
            file.write(msgspec.json.Encoder().encode_lines(page.items))
            number += len(page.items)
            advance(len(page.items))
    return number


def _place(target: str, force: bool) -> Path:
    place = Path(target).resolve()
    if not place.parent.is_dir():
        raise click.UsageError(f"there is no folder {place.parent}")
    if place.exists() and not place.is_file():
        raise click.UsageError(f"{target} is no file; - is stdout")
    _require_room(place, force)
    return place


def _require_room(place: Path, force: bool) -> None:
    if place.exists() and not force:
        raise click.UsageError(f"{place} is there already; --force writes over it")
