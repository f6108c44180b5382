"""`sluicegate pause`, `resume` and `pauses`: what stops new work, on all workers or on a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.cli.durations import SECONDS
from sluicegate.cli.pause_lines import narrow_lines, pause_lines
from sluicegate.times import now_ms, to_rfc3339

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import Pauses
    from sluicegate.operations.pause import PauseStatus

F = TypeVar("F", bound=Callable[..., Any])
LONGEST_SECONDS: Final = 365 * 86_400
SCOPES: Final = {
    "type": ("TYPE", "Only jobs of this type."),
    "repository": ("REPO", "Only jobs of this repository: owner/name or a URL."),
    "capability": ("NAME", "Only jobs that need this capability."),
    "worker": ("ID", "Only this worker."),
}


class Part(NamedTuple):
    """What a narrower pause is of."""

    scope: str
    value: str


def part_options(command: F) -> F:
    """--type, --repository, --capability, --worker: at most one, given to the command as `part`."""
    for scope, (metavar, help) in reversed(SCOPES.items()):
        command = click.option(
            f"--{scope}", metavar=metavar, help=help, multiple=True, callback=_part, expose_value=False
        )(command)
    return command


def _part(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
    """Each option adds what it was given; `multiple`, since the last of several would win unseen."""
    parts = ctx.meta.setdefault("parts", [])
    parts += [Part(param.opts[0].removeprefix("--"), value) for value in values]
    if len(parts) > 1:
        raise click.UsageError(f"give at most one of {', '.join(f'--{scope}' for scope in SCOPES)}")


def _given_part() -> Part | None:
    parts: list[Part] = click.get_current_context().meta["parts"]
    return parts[0] if parts else None


@click.command()
@click.option(
    "--mode",
    type=click.Choice(["drain", "quiesce"]),
    default="drain",
    show_default=True,
    help="drain: running jobs end. quiesce: they wait at their next checkpoint.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; everyone sees it.")
@part_options
@click.option("--for", "seconds", type=SECONDS, metavar="TIME", help="Resume by itself after 90, 30m or 2h.")
@click.option("--until", metavar="TIME", help="Resume by itself at 2026-01-31T12:00:00Z.")
@json_option
@url_option
def pause(
    mode: str, reason: str, seconds: float | None, until: str | None, as_json: bool, url: str | None
) -> None:
    """Stop all workers from starting jobs, or a part of them. Nothing in the queue is touched.

    Paused again, the pause is described anew: without --for or --until it lasts until a resume.

    \b
    Examples:
      sluicegate pause --mode drain --reason "upgrade to 1.4"
      sluicegate pause --mode quiesce --reason "new disk" --for 30m
      sluicegate pause --repository acme/site --reason "its build is broken"
    """
    ends, part = _end(seconds, until), _given_part()
    if part is None:
        _show(run(url, lambda client: client.pause(mode, reason, until=ends)), as_json)
    else:
        paused = run(
            url, lambda client: client.pause(mode, reason, scope=part.scope, value=part.value, until=ends)
        )
        _show_narrow(paused, as_json)


@click.command()
@click.option("--force", is_flag=True, help="Resume though jobs still run.")
@click.option("--reason", metavar="TEXT", help="Why; kept in the audit.")
@part_options
@yes_option
@json_option
@url_option
def resume(force: bool, reason: str | None, yes: bool, as_json: bool, url: str | None) -> None:
    """Let the workers start jobs again. Refused while jobs still run, unless forced.

    A part of them, paused by itself, goes on whatever still runs.

    \b
    Examples:
      sluicegate resume
      sluicegate resume --repository acme/site
    """
    part = _given_part()
    if part is not None:
        if force:
            raise click.UsageError("--force is for the pause of all workers: a part needs none")
        lifted = run(url, lambda client: client.resume(scope=part.scope, value=part.value, reason=reason))
        _show_narrow(lifted, as_json)
        return

    async def work(client: Client) -> PauseStatus:
        if force:
            counts = await client.counts()
            if not counts.is_drained:
                still = f"{counts.running} running, {counts.stale_running} stale"
                confirm(f"The workers are not drained ({still}). Resume all the same?", yes)
        return await client.resume(force, reason)

    _show(run(url, work), as_json)


@click.command()
@json_option
@url_option
def pauses(as_json: bool, url: str | None) -> None:
    """List what is paused beside the switch for all workers, which `status` shows.

    \b
    Example:
      sluicegate pauses
    """

    async def work(client: Client) -> Pauses:
        return await client.pauses()

    found = run(url, work)
    if as_json:
        output.document(found)
        return
    rows = [
        [each.scope, each.value, each.mode or "", output.ago(each.requested_at),
         each.requested_by_user_id or "", each.until or "", each.reason or ""]
        for each in found.items
    ]  # fmt: skip
    output.table(
        ("SCOPE", "VALUE", "MODE", "SINCE", "BY", "UNTIL", "REASON"),
        rows,
        empty="Nothing is paused by itself.",
    )


def _end(seconds: float | None, until: str | None) -> str | None:
    """A length is counted from now by this host's clock."""
    if seconds is None:
        return until
    if until is not None:
        raise click.UsageError("--for and --until both say when the pause ends: give one")
    if seconds > LONGEST_SECONDS:
        raise click.UsageError("--for is at most 365d")
    return to_rfc3339(now_ms() + round(seconds * 1000))


def _show(status: PauseStatus, as_json: bool) -> None:
    if as_json:
        output.document(status)
        return
    for line in pause_lines(status):
        click.echo(line)


def _show_narrow(pauses: Pauses, as_json: bool) -> None:
    """All that are in force: a person sees at once what else is held back."""
    if as_json:
        output.document(pauses)
        return
    for line in narrow_lines(pauses.items):
        click.echo(line)
    if not pauses.items:
        click.echo("Nothing is paused by itself.")
