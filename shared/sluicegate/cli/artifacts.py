"""`sluicegate jobs artifacts`: list the files of a job, and fetch one."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sluicegate.cli import output
from sluicegate.cli.connection import json_option, run, url_option
from sluicegate.errors import NotFound

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.store.shelves import Artifact

STDOUT = "-"
CHUNK_BYTES = 256 * 1024


@click.command()
@click.argument("job_id")
@click.option("--get", "name", metavar="NAME", help="Fetch the file of this name.")
@click.option("-o", "--output", "target", metavar="FILE", help="Where to; - is stdout. [its own name, here]")
@json_option
@url_option
def artifacts(job_id: str, name: str | None, target: str | None, as_json: bool, url: str | None) -> None:
    """List the files that a job's workers stored, or fetch one with --get.

    \b
    Example:
      sluicegate jobs artifacts 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate jobs artifacts 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 --get logs/execute.log -o -
    """
    if name is None and target is not None:
        raise click.UsageError("-o needs --get: which file?")
    if name is not None:
        place = _place(name, target)
        found = run(url, lambda client: _fetch(client, job_id, name, place))
        output.document(found) if as_json and place else None
        return
    listed = run(url, lambda client: client.artifacts(job_id))
    if as_json:
        output.document({"items": listed, "nextCursor": None})
        return
    rows = [
        [each.name, f"{each.size_bytes:,}", each.content_type, output.ago(each.created_at)] for each in listed
    ]
    output.table(("NAME", "BYTES", "TYPE", "AGE"), rows, empty="No artifacts.")


def _place(name: str, target: str | None) -> Path | None:
    """The file to write, None for stdout. What is there already is replaced only when it was named."""
    if target == STDOUT:
        return None
    if target is not None:
        place = Path(target)
        place = place / Path(name).name if place.is_dir() else place
    elif (place := Path(Path(name).name)).exists():
        raise click.UsageError(f"{place} is there already; name the file to write with -o")
    if not place.parent.is_dir():
        raise click.UsageError(f"there is no folder {place.parent}")
    return place


async def _fetch(client: Client, job_id: str, name: str, place: Path | None) -> Artifact:
    found = _named(await client.artifacts(job_id), job_id, name)
    if place is not None:
        try:
            await client.download(found, place)
        except OSError as error:
            raise click.ClickException(f"{place} cannot be written: {error.strerror}") from error
        output.note(f"{place}: {found.size_bytes:,} bytes")
        return found
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "content"
        await client.download(found, copy)
        with copy.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return found


def _named(listed: Sequence[Artifact], job_id: str, name: str) -> Artifact:
    for each in listed:
        if each.name == name:
            return each
    raise NotFound(f"job {job_id} has no artifact {name!r}", code="artifact_not_found")
