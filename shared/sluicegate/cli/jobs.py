"""`sluicegate jobs`: list, show, watch, read the output of, cancel jobs, and run them again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click
import msgspec

from sluicegate.cli import output, reasons, runs
from sluicegate.cli.artifacts import artifacts
from sluicegate.cli.attempts import attempts_of, show_attempts
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.cli.durations import SECONDS
from sluicegate.cli.following import Printer, finish, follow_job
from sluicegate.cli.many import (
    Change,
    change_many,
    choice_of,
    choice_options,
    dry_run_option,
    job_ids_argument,
    reason_option,
)
from sluicegate.errors import SluicegateError
from sluicegate.operations.run_state import control_lines, shown_state

if TYPE_CHECKING:
    from sluicegate.client import Client, JobPage
    from sluicegate.model import Job
    from sluicegate.operations.ladder import Rung
    from sluicegate.operations.reasons import Why

A_FEW = 20
RETRYABLE = ("failed", "cancelled", "dead_letter")
CANCEL = Change(
    name="cancel_many", noun="job", question="Cancel {}?", done="cancelled", statuses=("queued", "running")
)
RETRY = Change(name="retry_many", noun="job", question="Run {} again?", done="retried", statuses=RETRYABLE)
STATUSES = ("queued", "running", "succeeded", "failed", "cancelled", "dead_letter")


@click.group(commands=[artifacts, *runs.COMMANDS])
def jobs() -> None:
    """List, show, watch and cancel jobs, run them again; pause a run, take it over, go back to a step."""


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
            shown_state(job),
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
    """Show everything about one job; of a task also each attempt of its steps, and what came of it.

    \b
    Example:
      sluicegate jobs show 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """

    async def read(client: Client) -> tuple[Job, Why | None, list[Rung]]:
        job = await client.get(job_id)
        if as_json:
            return job, None, []
        why = await client.why(job_id) if job.status == "queued" else None
        return job, why, await attempts_of(client, job)

    job, why, rungs = run(url, read)
    if as_json:
        output.document(job)
        return
    fields = msgspec.to_builtins(job)
    payload = fields.pop("payload", {})
    payload.pop("liveControl", None)
    fields["status"] = shown_state(job)
    fields["attempt"] = f"{job.attempt} of {job.max_attempts}"
    fields.pop("maxAttempts", None)
    fields |= control_lines(job)
    output.pairs([(name, _text(value)) for name, value in fields.items() if value not in (None, [])])
    click.echo(click.style("payload", bold=True))
    click.echo(msgspec.json.format(msgspec.json.encode(payload), indent=2))
    if rungs:
        click.echo(click.style("attempts of the steps", bold=True))
        show_attempts(rungs)
    if why is not None and why.reasons:
        click.echo(click.style("why it waits", bold=True))
        reasons.show(why)


@jobs.command("why")
@click.argument("job_id")
@json_option
@url_option
def why_(job_id: str, as_json: bool, url: str | None) -> None:
    """Say why a job does not run: each reason, and what would change it.

    \b
    Example:
      sluicegate jobs why 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    why = run(url, lambda client: client.why(job_id))
    if as_json:
        output.document(why)
    else:
        reasons.show(why)


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
@job_ids_argument
@choice_options(statuses=("queued", "running"))
@click.option("--reason", metavar="TEXT", help="Why; shown with the job.")
@dry_run_option
@yes_option
@json_option
@url_option
def cancel(
    job_ids: Sequence[str],
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
    **given: Any,
) -> None:
    """Cancel jobs: waiting ones at once; running ones are stopped by their worker.

    Name them, or choose them by what they have in common. Before a choice is cancelled you are told how
    many it is, and asked. With --json a few named ones are printed as jobs, all others as a sum.

    \b
    Examples:
      sluicegate jobs cancel --reason "wrong branch" 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate jobs cancel --type task --repository acme/app --dry-run
    """
    choice = choice_of(given)
    if choice or dry_run or not 0 < len(job_ids) <= A_FEW:
        change_many(CANCEL, url, job_ids, choice, reason=reason, dry_run=dry_run, yes=yes, as_json=as_json)
    elif run(url, lambda client: _cancel_each(client, job_ids, reason, yes=yes, as_json=as_json)):
        sys.exit(1)


@jobs.command()
@job_ids_argument
@choice_options(statuses=RETRYABLE)
@reason_option
@dry_run_option
@yes_option
@json_option
@url_option
def retry(
    job_ids: Sequence[str],
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
    **given: Any,
) -> None:
    """Run jobs again: failed and cancelled ones as new jobs, dead letters as they are.

    A job has one retry: asked again, its id is printed again. By a choice only jobs without one are run.

    \b
    Examples:
      sluicegate jobs retry 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate jobs retry --status failed --created-after 2026-01-31T00:00:00Z
    """
    change_many(
        RETRY, url, job_ids, choice_of(given), reason=reason, dry_run=dry_run, yes=yes, as_json=as_json
    )


async def _cancel_each(
    client: Client, job_ids: Sequence[str], reason: str | None, *, yes: bool, as_json: bool
) -> bool:
    """Whether one was refused. A person is asked about each that runs."""
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
            output.document(job) if as_json else click.echo(f"{job.id} {shown_state(job)}")
    return refused


def _about(job: Job) -> str:
    """What tells this job from others: how it ended, else what it works on."""
    return job.error_message or job.result_summary or job.cancel_reason or job.repository or ""


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
