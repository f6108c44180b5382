"""`sluicegate jobs`: list, show, watch, read the output of, and cancel jobs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click
import msgspec

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.cli.durations import SECONDS
from sluicegate.cli.following import Printer, finish, follow_job
from sluicegate.errors import SluicegateError

if TYPE_CHECKING:
    from sluicegate.client import Client, JobPage
    from sluicegate.model import Job

STATUSES = ("queued", "running", "succeeded", "failed", "cancelled", "dead_letter")


@click.group()
def jobs() -> None:
    """List, show, watch and cancel jobs."""


@jobs.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs in this state.")
@click.option("--type", "type_", metavar="TYPE", help="Only jobs of this type.")
@click.option("--repository", metavar="REPO", help="Only jobs of this repository, as owner/name or URL.")
@click.option("--claimed-by", metavar="WORKER", help="Only jobs that this worker holds or ended.")
@click.option("--created-after", metavar="TIME", help="Like 2026-01-31T12:00:00Z.")
@click.option("--created-before", metavar="TIME", help="Like 2026-01-31T12:00:00Z.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Jobs on a page.")
@click.option("--cursor", metavar="TEXT", help="The page that begins here (printed below a page).")
@json_option
@url_option
def list_(as_json: bool, url: str | None, type_: str | None, **filters: Any) -> None:
    """List jobs, the latest change first.

    \b
    Example:
      sluicegate jobs list --status running --type task
    """

    async def page(client: Client) -> JobPage:
        return await client.list(type=type_, **filters)

    found = run(url, page)
    if as_json:
        output.document({"items": found.items, "nextCursor": found.next_cursor})
        return
    rows = [
        [
            job.id,
            job.type,
            _state(job),
            f"{job.attempt}/{job.max_attempts}",
            output.ago(job.created_at),
            _about(job),
        ]
        for job in found.items
    ]
    output.table(("ID", "TYPE", "STATUS", "TRY", "AGE", "ABOUT"), rows, empty="No jobs.")
    if found.next_cursor:
        output.note(f"More: --cursor {found.next_cursor}")


@jobs.command()
@click.argument("job_id")
@json_option
@url_option
def show(job_id: str, as_json: bool, url: str | None) -> None:
    """Show everything about one job.

    \b
    Example:
      sluicegate jobs show 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    job = run(url, lambda client: client.get(job_id))
    if as_json:
        output.document(job)
        return
    fields = msgspec.to_builtins(job)
    payload = fields.pop("payload", {})
    fields["status"] = _state(job)
    fields["attempt"] = f"{job.attempt} of {job.max_attempts}"
    fields.pop("maxAttempts", None)
    output.pairs([(name, _text(value)) for name, value in fields.items() if value not in (None, [])])
    click.echo(click.style("payload", bold=True))
    click.echo(msgspec.json.format(msgspec.json.encode(payload), indent=2))


@jobs.command()
@click.argument("job_id")
@click.option("--timeout", type=SECONDS, metavar="TIME", help="Watch no longer than this (exit 1).")
@json_option
@url_option
def watch(job_id: str, timeout: float | None, as_json: bool, url: str | None) -> None:
    """Print a job's events and output as they come, until it has ended; exit 1 unless it succeeded.

    With --json one event a line, then the job.

    \b
    Example:
      sluicegate jobs watch 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """

    async def work(client: Client) -> Job:
        await follow_job(client, job_id, timeout, as_json)
        return await client.get(job_id)

    job = run(url, work)
    if as_json:
        output.line(job)
        sys.exit(job.status != "succeeded")
    finish(job, as_json=False)


@jobs.command()
@click.argument("job_id")
@click.option("-f", "--follow", is_flag=True, help="Go on as output comes, until the job has ended.")
@click.option("--after", metavar="ID|TIME", help="Only what came after this event or time; `now` with -f.")
@json_option
@url_option
def logs(job_id: str, follow: bool, after: str | None, as_json: bool, url: str | None) -> None:
    """Print what a job has put out. With --json one event a line.

    \b
    Example:
      sluicegate jobs logs -f 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """

    async def work(client: Client) -> None:
        printer = Printer(logs=True, events=False)
        async with aclosing(client.events(job_id, after, follow=follow)) as events:
            async for event in events:
                if not as_json:
                    printer.show(event)
                elif (event.payload or {}).get("kind") == "log":
                    output.line(event)
        printer.end_line()
        if not (printer.printed or as_json):
            output.note("No output.")

    run(url, work)


@jobs.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@click.option("--reason", metavar="TEXT", help="Why; shown with the job.")
@yes_option
@json_option
@url_option
def cancel(job_ids: Sequence[str], reason: str | None, yes: bool, as_json: bool, url: str | None) -> None:
    """Cancel jobs: waiting ones at once; running ones are stopped by their worker.

    \b
    Example:
      sluicegate jobs cancel --reason "wrong branch" 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """

    async def work(client: Client) -> bool:
        refused = False
        for job_id in job_ids:
            try:
                job = await client.get(job_id)
                if job.status == "running" and job.cancel_requested_at is None:
                    confirm(f"Job {job_id} is running on {job.claimed_by}. Cancel it?", yes)
                job = await client.cancel(job_id, reason)
            except SluicegateError as error:
                if len(job_ids) == 1:
                    raise
                refused = True
                click.echo(f"Error: {job_id}: {error.detail}", err=True)
            else:
                output.document(job) if as_json else click.echo(f"{job.id} {_state(job)}")
        return refused

    if run(url, work):
        sys.exit(1)


def _state(job: Job) -> str:
    if job.status == "running" and job.cancel_requested_at:
        return "running (cancel requested)"
    return "queued (delayed)" if job.status == "queued" and job.next_attempt_at else job.status


def _about(job: Job) -> str:
    """What tells this job from others: how it ended, else what it works on."""
    return job.error_message or job.result_summary or job.cancel_reason or job.repository or ""


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
