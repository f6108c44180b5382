"""`sluicegate enqueue`: jobs from flags, a file or stdin."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from sluicegate.cli import output
from sluicegate.cli.connection import json_option, run, url_option
from sluicegate.cli.durations import SECONDS
from sluicegate.cli.following import finish, follow_job
from sluicegate.cli.task_flags import put_into, taken_from, task_flags

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import Job

Document = dict[str, Any]


@click.command()
@click.argument("file", required=False, metavar="[FILE|-]")
@click.option("--type", "type_", metavar="TYPE", help="What runs the job, like `task` or `noop`.")
@click.option("--payload", metavar="JSON|@FILE", help="The job's payload, an object.")
@task_flags
@click.option("--priority", type=int, metavar="N", help="-1000 to 1000, higher first [0].")
@click.option("--delay", type=SECONDS, metavar="TIME", help="Not before this long from now: 90, 30s, 5m, 2h.")
@click.option("--not-before", metavar="TIME", help="Not before this time, like 2026-01-31T12:00:00Z.")
@click.option("--key", metavar="TEXT", help="Idempotency key: repeating the command gives the same job.")
@click.option("--id", "id_", metavar="UUID", help="Id drawn by you (UUIDv7).")
@click.option(
    "--capability", "capabilities", multiple=True, metavar="NAME", help="Required; may be repeated."
)
@click.option("--affinity", metavar="KEY", help="Of the jobs of one key one runs at a time.")
@click.option("--max-attempts", type=int, metavar="N", help="1 to 20 [3].")
@click.option("--max-run", type=SECONDS, metavar="TIME", help="Longest run of an attempt.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended; exit 1 unless it succeeded.")
@click.option("--follow", is_flag=True, help="The same, printing the job's output meanwhile.")
@click.option(
    "--timeout", type=SECONDS, metavar="TIME", help="With --wait or --follow: wait no longer (exit 1)."
)
@json_option
@url_option
def enqueue(
    *,
    file: str | None,
    wait: bool,
    follow: bool,
    timeout: float | None,
    as_json: bool,
    url: str | None,
    **flags: Any,
) -> None:
    """Put a job into the queue, or several, and print their ids.

    FILE (or - for stdin) holds a job as JSON or TOML, with the fields of the REST API; or a JSON list of
    jobs, each accepted or refused for itself. Flags win over the fields of a single job. Those that describe
    a task (--repo to --branch) make the job one.

    \b
    Examples:
      sluicegate enqueue --repo acme/web --runtime claude --instructions "Fix the login test" --follow
      sluicegate enqueue task.toml --model large --priority 10 --follow
      sluicegate enqueue --type noop --payload '{}' --wait
      jq -c '[.jobs[]]' plan.json | sluicegate enqueue -
    """
    task = taken_from(flags, _text)
    given = _fields(flags)
    if task:
        given.setdefault("type", "task")
    if timeout is not None and not (wait or follow):
        raise click.UsageError("--timeout goes with --wait or --follow")
    if file is None and "type" not in given:
        raise click.UsageError("give a FILE, - for stdin, --type and --payload, or --repo and --instructions")
    content = _read(file) if file is not None else {}
    if isinstance(content, dict):
        job = put_into(content | given, task)
        run(url, lambda client: _one(client, job, wait=wait, follow=follow, timeout=timeout, as_json=as_json))
        return
    if given or wait or follow:
        raise click.UsageError("flags are for a single job; FILE holds a list")
    run(url, lambda client: _many(client, content, as_json))


async def _one(
    client: Client, job: Document, *, wait: bool, follow: bool, timeout: float | None, as_json: bool
) -> None:
    accepted = await client.enqueue(job)
    if not (wait or follow):
        output.document(accepted) if as_json else click.echo(accepted.id)
        output.note(f"Follow it with: sluicegate jobs logs -f {accepted.id}")
        return
    if follow:
        await follow_job(client, accepted.id, timeout, as_json)
        ended = await client.get(accepted.id)
    else:
        ended = await _ended(client, accepted, timeout)
    finish(ended, as_json=as_json)


async def _ended(client: Client, job: Job, timeout: float | None) -> Job:
    try:
        return await client.wait(job.id, timeout)
    except TimeoutError:
        raise click.ClickException(f"job {job.id} has not ended in time; it goes on") from None


async def _many(client: Client, jobs: Sequence[Document], as_json: bool) -> None:
    from sluicegate.model import Job

    results = await client.enqueue_many(jobs)
    if as_json:
        items = [
            {"index": index, "status": 201, "job": result}
            if isinstance(result, Job)
            else {"index": index, "status": result.status, "error": result.problem()}
            for index, result in enumerate(results)
        ]
        output.document({"items": items})
    for index, result in enumerate(results):
        if not isinstance(result, Job):
            click.echo(f"Error: [{index}] {result.detail}", err=True)
        elif not as_json:
            click.echo(result.id)
    if not all(isinstance(result, Job) for result in results):
        sys.exit(1)


def _fields(flags: dict[str, Any]) -> Document:
    """The given flags under the names of the REST API."""
    names = {
        "type_": "type",
        "id_": "id",
        "delay": "delaySeconds",
        "not_before": "notBefore",
        "key": "idempotencyKey",
        "capabilities": "requiredCapabilities",
        "affinity": "affinityKey",
        "max_attempts": "maxAttempts",
        "max_run": "maxRunSeconds",
    }
    given = {names.get(name, name): value for name, value in flags.items() if value not in (None, ())}
    if "payload" in given:
        given["payload"] = _payload(given["payload"])
    return given


def _payload(text: str) -> Any:
    if text.startswith("@"):
        text = _text(text.removeprefix("@"))
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--payload") from None


def _read(file: str) -> Document | list[Document]:
    text = _text(file)
    try:
        content = tomllib.loads(text) if file.endswith(".toml") else msgspec.json.decode(text)
    except tomllib.TOMLDecodeError as error:
        raise click.ClickException(f"{file} is not TOML: {error}") from None
    except msgspec.DecodeError as error:
        try:  # stdin has no name to tell by
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            raise click.ClickException(f"{file} is neither JSON ({error}) nor TOML") from None
    jobs = content if isinstance(content, list) else [content]
    if not all(isinstance(job, dict) for job in jobs):
        raise click.ClickException(f"{file} holds neither a job nor a list of jobs")
    return content


def _text(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not text in UTF-8") from None
