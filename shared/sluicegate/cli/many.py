"""Changing many jobs from the command line: count them, ask, change them in portions, tell the result."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click
from msgspec import Struct

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, run

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.operations.answers import ManyAnswer

Function = TypeVar("Function", bound=Callable[..., Any])
PORTION: Final = 200
PAGE: Final = 200

reason_option = click.option("--reason", metavar="TEXT", help="Why; kept in the audit.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Count them and change nothing.")
job_ids_argument = click.argument("job_ids", nargs=-1, metavar="[JOB_ID...]")


def choice_options(*, statuses: Sequence[str] = ()) -> Callable[[Function], Function]:
    """The options that choose jobs by what they have in common. statuses: those that make sense here."""
    options = [
        click.option("--type", "type_", metavar="TYPE", help="Those of this type."),
        click.option("--repository", metavar="REPO", help="Those of this repository: owner/name or URL."),
        click.option("--failure-class", metavar="NAME", help="Those that failed so; `unclassified` too."),
        click.option("--created-after", metavar="TIME", help="Like 2026-01-31T12:00:00Z."),
        click.option("--created-before", metavar="TIME", help="Like 2026-01-31T12:00:00Z."),
    ]
    if statuses:
        options.insert(0, click.option("--status", type=click.Choice(statuses), help="Those in this state."))
    return lambda function: reduce(lambda inner, option: option(inner), reversed(options), function)


class Change(Struct, frozen=True, kw_only=True):
    """What is done to many, and how it is told.

    statuses: of jobs that it can be done to, the way that they are looked for; none for dead letters.
    asks_from: with so many or more a person is asked first; a choice by what they have in common always asks.
    """

    name: str
    noun: str
    question: str
    done: str
    statuses: tuple[str, ...] = ()
    asks_from: int = 2


def choice_of(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `choice_options` that were given, as the client takes them."""
    return {name.removesuffix("_"): value for name, value in given.items() if value is not None}


def change_many(
    change: Change,
    url: str | None,
    job_ids: Sequence[str],
    choice: dict[str, Any],
    *,
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Do it and print what came of it. Ends with 1 when one of them was refused, 2 when none was chosen."""
    if not (job_ids or choice):
        raise click.UsageError("say which: by JOB_ID... or by options like --type; never simply everything")
    _require_ids(job_ids)

    async def work(client: Client) -> ManyAnswer:
        call = getattr(client, change.name)
        if dry_run:
            return cast("ManyAnswer", await call(job_ids or None, dry_run=True, **choice))
        number = len(job_ids)
        if choice:
            number = (await call(job_ids or None, dry_run=True, **choice)).matched
        if number and (not job_ids or number >= change.asks_from):
            confirm(change.question.format(_number(number, change.noun)), yes)
        ids = list(job_ids) or await _look(client, change, choice)
        return await _in_portions(change, call, ids, reason=reason, choice=choice)

    _tell(change, run(url, work), as_json=as_json, each=bool(job_ids))


def _require_ids(job_ids: Sequence[str]) -> None:
    """Before anything is changed: one that is mistyped says so, and in words."""
    from sluicegate.model import ID_PATTERN

    for job_id in job_ids:
        if not ID_PATTERN.match(job_id):
            raise click.ClickException(f"there is no job {job_id!r}")


async def _in_portions(
    change: Change,
    call: Callable[..., Awaitable[ManyAnswer]],
    ids: Sequence[str],
    *,
    reason: str | None,
    choice: dict[str, Any],
) -> ManyAnswer:
    """So many a request that each is answered soon, whatever the number, and a person sees it move."""
    from sluicegate.operations.answers import ManyAnswer

    total = ManyAnswer(matched=0, changed=0, dry_run=False, items=[])
    with output.progress(change.done, len(ids), shown=len(ids) > PORTION) as advance:
        for start in range(0, len(ids), PORTION):
            part = ids[start : start + PORTION]
            answer = await call(part, reason=reason, **choice)
            total.matched += answer.matched
            total.changed += answer.changed
            total.items += answer.items
            advance(len(part))
    return total


async def _look(client: Client, change: Change, choice: dict[str, Any]) -> list[str]:
    """The ids of those that may fit, longest ago first; the change itself looks at each of them again."""
    found: list[str] = []
    if not change.statuses:
        asked = _only(choice, "type", "repository", "failure_class")
        async for letters in _pages(client.dead_letters, asked):
            found += [letter.job_id for letter in letters.items]
    asked = _only(choice, "type", "repository", "created_after", "created_before")
    for status in change.statuses:
        if choice.get("status", status) == status:
            async for jobs in _pages(client.list, {**asked, "status": status}):
                found += [job.id for job in jobs.items]
    return found[::-1]


async def _pages(listing: Callable[..., Awaitable[Any]], asked: dict[str, Any]) -> AsyncIterator[Any]:
    cursor: str | None = None
    while True:
        page = await listing(**asked, cursor=cursor, limit=PAGE)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def _only(choice: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: choice[name] for name in names if name in choice}


def _tell(change: Change, answer: ManyAnswer, *, as_json: bool, each: bool) -> None:
    refused = [item for item in answer.items if item.error is not None]
    if as_json:
        output.document(answer)
    elif answer.dry_run:
        click.echo(f"{_number(answer.matched, change.noun)} would be {change.done}.")
    else:
        for item in answer.items if each else []:
            if item.error is None:
                click.echo(f"{item.id} {change.done}{f' as {item.retry_id}' if item.retry_id else ''}")
        if not each:
            click.echo(f"{_number(answer.changed, change.noun)} {change.done}.")
    for item in refused:
        click.echo(f"Error: {item.id}: {(item.error or {}).get('detail')}", err=True)
    if refused:
        sys.exit(1)


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
