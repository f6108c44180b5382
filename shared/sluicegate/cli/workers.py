"""`sluicegate workers`: who is there, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from sluicegate.cli import output
from sluicegate.cli.connection import json_option, run, url_option

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.store.workers import Presence


@click.command()
@json_option
@url_option
def workers(as_json: bool, url: str | None) -> None:
    """List the workers that were heard of within the last half minute.

    \b
    Example:
      sluicegate workers
    """

    async def work(client: Client) -> Sequence[Presence]:
        return await client.workers()

    found = run(url, work)
    if as_json:
        output.document({"items": found})
        return
    rows = [
        [each.worker_id, each.host, each.version, each.state, f"{len(each.jobs)}/{each.slots}",
         output.ago(each.last_seen), ",".join(each.types) if each.types is not None else "any",
         ",".join(each.capabilities)]
        for each in found
    ]  # fmt: skip
    output.table(
        ("WORKER", "HOST", "VERSION", "STATE", "JOBS", "SEEN", "TYPES", "CAPABILITIES"),
        rows,
        empty="No workers.",
    )
