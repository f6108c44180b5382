"""`sluicegate message`, `live`, `grant`, `revoke`: speak to a run's agent, watch it, take the keyboard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.model import MAX_GRANT_MINUTES

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import LiveProvider, LiveSession
    from sluicegate.operations.live_sessions import GrantAnswer
    from sluicegate.store.controls import ControlEvent

PROVIDERS: Final = ("browser", "tmate", "tmux")


@click.command()
@click.argument("job_id")
@click.argument("text")
@json_option
@url_option
def message(job_id: str, text: str, as_json: bool, url: str | None) -> None:
    """Say something to the agent of a run: at once into its inbox, and with its next prompt.

    TEXT is the message; `-` reads it from stdin.

    \b
    Examples:
      sluicegate message 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 "leave the database alone"
      sluicegate message 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60 - < notes.md
    """
    said: str = sys.stdin.read() if text == "-" else text

    async def work(client: Client) -> ControlEvent:
        return await client.runs.message(job_id, said)

    event = run(url, work)
    if as_json:
        output.document(event)
    else:
        click.echo(f"{job_id} message {event.id}")


@click.command()
@click.argument("job_id")
@click.option("--open", "wanted", is_flag=True, help="Have one opened, if none is open.")
@click.option("--provider", type=click.Choice(PROVIDERS), help="Which kind to open; default: a setting.")
@json_option
@url_option
def live(job_id: str, wanted: bool, provider: LiveProvider | None, as_json: bool, url: str | None) -> None:
    """Show the live session of a run: how to look at it, who may type, until when.

    \b
    Examples:
      sluicegate live 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
      sluicegate live --open --provider tmate 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    if provider is not None and not wanted:
        raise click.UsageError("--provider goes with --open")

    async def work(client: Client) -> LiveSession:
        if wanted:
            return await client.runs.open_live_session(job_id, provider)
        return await client.runs.live_session(job_id)

    _show(run(url, work), as_json)


@click.command()
@click.argument("job_id")
@click.option(
    "--minutes",
    type=click.IntRange(1, MAX_GRANT_MINUTES),
    help="How long, from now; default: a setting.",
)
@json_option
@url_option
def grant(job_id: str, minutes: int | None, as_json: bool, url: str | None) -> None:
    """Type into the live session of a run, for a while; in place of whoever may now.

    \b
    Example:
      sluicegate grant --minutes 30 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """

    async def work(client: Client) -> GrantAnswer:
        return await client.runs.grant_write(job_id, minutes)

    granted = run(url, work)
    if as_json:
        output.document(granted)
        return
    click.echo(f"{job_id} granted until {granted.granted_until}")
    for name, way in (("terminal", granted.attach_rw), ("page", granted.web_rw)):
        if way:
            click.echo(f"  {name}  {way}")


@click.command()
@click.argument("job_id")
@click.option("--reason", metavar="TEXT", help="Why; in the run's events and in the audit.")
@yes_option
@json_option
@url_option
def revoke(job_id: str, reason: str | None, yes: bool, as_json: bool, url: str | None) -> None:
    """End the live session of a run for everyone, at once. The run goes on.

    \b
    Example:
      sluicegate revoke --reason "wrong task" 0197b2a4-5c1e-7d30-8f3a-1b2c3d4e5f60
    """
    confirm(f"End the live session of job {job_id} for everyone?", yes)

    async def work(client: Client) -> LiveSession:
        return await client.runs.revoke(job_id, reason=reason)

    _show(run(url, work), as_json)


def _show(session: LiveSession, as_json: bool) -> None:
    if as_json:
        output.document(session)
        return
    click.echo(f"{session.task_run_id} {session.provider} {session.status}")
    lines = {
        "terminal": session.attach_ro,
        "page": session.web_ro,
        "worker": session.worker_id,
        "until": session.expires_at if session.ended_at is None else None,
        "typing": session.rw_granted_to and f"{session.rw_granted_to}, until {session.rw_granted_until}",
        "why": session.error_message,
    }
    for name, value in lines.items():
        if value:
            click.echo(f"  {name:<8}  {value}")
