"""`sluicegate dlq`: the jobs whose attempts are used up, why, and what to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sluicegate.cli import output
from sluicegate.cli.connection import json_option, run, url_option, yes_option
from sluicegate.cli.following import Printer
from sluicegate.cli.many import (
    Change,
    change_many,
    choice_of,
    choice_options,
    dry_run_option,
    job_ids_argument,
    reason_option,
)

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import Event, Job

REDRIVE = Change(name="redrive", noun="dead letter", question="Redrive {}?", done="redriven")
PURGE = Change(
    name="purge",
    noun="dead letter",
    question="Purge {}, with history and files, for good?",
    done="purged",
    asks_from=1,
)


@click.group()
def dlq() -> None:
    """Look through the dead letters: jobs whose attempts are used up. Run them again, or purge them.

    \b
    Example:
      sluicegate dlq list --failure-class unclassified
    """


@dlq.command("list")
@click.option("--type", "type_", metavar="TYPE", help="Only of this type.")
@click.option("--repository", metavar="REPO", help="Only of this repository, as owner/name or URL.")
@click.option("--failure-class", metavar="NAME", help="Only those that failed so; `unclassified` too.")
@click.option(
    "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Entries on a page."
)
@click.option("--cursor", metavar="TEXT", help="The page that begins here (printed below a page).")
@json_option
@url_option
def list_(as_json: bool, url: str | None, type_: str | None, **asked: Any) -> None:
    """List dead letters, the newest first.

    \b
    Example:
      sluicegate dlq list --type task --repository acme/app
    """
    found = run(url, lambda client: client.dead_letters(type=type_, **asked))
    if as_json:
        output.document(found)
        return
    rows = [
        [
            letter.job_id,
            letter.type,
            letter.failure_class,
            str(letter.attempts),
            output.ago(letter.dead_at),
            letter.last_error,
        ]
        for letter in found.items
    ]
    output.table(("JOB", "TYPE", "CLASS", "TRIES", "AGE", "LAST ERROR"), rows, empty="No dead letters.")
    if found.next_cursor:
        output.note(f"More: --cursor {found.next_cursor}")


@dlq.command()
@click.argument("job_id")
@json_option
@url_option
def show(job_id: str, as_json: bool, url: str | None) -> None:
    """Show how a job died: its last error, and its history without its output.

    With --json the job. Its output is at `sluicegate jobs logs`.

    \b
    Example:
      sluicegate dlq show 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    job, history = run(url, lambda client: _history(client, job_id))
    if job.status != "dead_letter":
        raise click.ClickException(f"job {job_id} is {job.status}, and no dead letter")
    if as_json:
        output.document(job)
        return
    output.pairs(
        [
            ("job", job.id),
            ("type", job.type),
            ("repository", job.repository),
            ("attempts", str(job.attempt)),
            ("died", f"{job.finished_at} ({output.ago(job.finished_at)} ago)"),
            ("class", job.failure_class or "unclassified"),
            ("error", job.error_message),
        ]
    )
    click.echo(click.style("history", bold=True))
    printer = Printer(logs=False, events=True)
    for event in history:
        printer.show(event)
    output.note(f"Its output: sluicegate jobs logs {job.id}")
    output.note(f"Run it again: sluicegate dlq redrive {job.id}")


@dlq.command()
@job_ids_argument
@choice_options()
@reason_option
@dry_run_option
@yes_option
@json_option
@url_option
def redrive(
    job_ids: Sequence[str],
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
    **given: Any,
) -> None:
    """Give dead letters a new life: attempts from 1, finished steps and history kept.

    Name them, or choose them by what they have in common. Before more than one is redriven you are told
    how many, and asked.

    \b
    Examples:
      sluicegate dlq redrive 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 --reason "token renewed"
      sluicegate dlq redrive --type task --failure-class deterministic_policy --dry-run
    """
    change_many(
        REDRIVE, url, job_ids, choice_of(given), reason=reason, dry_run=dry_run, yes=yes, as_json=as_json
    )


@dlq.command()
@job_ids_argument
@choice_options()
@reason_option
@dry_run_option
@yes_option
@json_option
@url_option
def purge(
    job_ids: Sequence[str],
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
    **given: Any,
) -> None:
    """Remove dead letters for good, with history, finished steps and files. You are told how many, and asked.

    \b
    Examples:
      sluicegate dlq purge 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate dlq purge --type task --created-before 2026-01-31T00:00:00Z --reason "too old"
    """
    change_many(
        PURGE, url, job_ids, choice_of(given), reason=reason, dry_run=dry_run, yes=yes, as_json=as_json
    )


async def _history(client: Client, job_id: str) -> tuple[Job, list[Event]]:
    job = await client.get(job_id)
    events = client.events(job_id, follow=False)
    return job, [event async for event in events if (event.payload or {}).get("kind") != "log"]
