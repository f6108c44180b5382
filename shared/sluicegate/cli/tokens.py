"""`sluicegate tokens`: create, list, revoke and rotate the tokens of workers and of operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, json_option, run, url_option, yes_option
from sluicegate.cli.durations import SECONDS

if TYPE_CHECKING:
    from sluicegate.store import Store

T = TypeVar("T")
ROLES = ("producer", "viewer", "operator", "admin")

operator_option = click.option(
    "--operator",
    "of_operator",
    is_flag=True,
    help="A token of an operator or producer. Opens the store (SLUICEGATE_REDIS_URL), not the API.",
)


@click.group()
def tokens() -> None:
    """Administer the tokens that workers, operators and producers show.

    Tokens of workers go over the API and need the role admin. Those of operators (--operator) are made
    against the store, which is how a deployment gets its first one.
    """


@tokens.command()
@click.option("--worker-id", metavar="ID", help="The worker that the token stands for.")
@click.option(
    "--repository", "repositories", multiple=True, metavar="REPO", help="One it may work on; repeat."
)
@click.option("--type", "types", multiple=True, metavar="TYPE", help="A job type it may take; repeat.")
@click.option("--capability", "capabilities", multiple=True, metavar="NAME", help="One it has; repeat.")
@operator_option
@click.option("--user", metavar="ID", help="With --operator: whom actions are attributed to.")
@click.option("--role", type=click.Choice(ROLES), help="With --operator: what it may do.")
@click.option("--description", metavar="TEXT", help="For people.")
@click.option("--expires-in", type=SECONDS, metavar="TIME", help="How long it works, like 90d. [for ever]")
@json_option
@url_option
def create(of_operator: bool, as_json: bool, url: str | None, **given: Any) -> None:
    """Create a token and print it. It is shown this once: only a hash of it is kept.

    What is not restricted is allowed: without --repository any repository, without --type any type.

    \b
    Examples:
      sluicegate tokens create --worker-id builder-1 --type task --repository acme/app
      sluicegate tokens create --operator --role admin --user ann
    """
    expires = None if given["expires_in"] is None else _in(given["expires_in"])
    if of_operator:
        _refuse(
            given, "worker_id", "repositories", "types", "capabilities", reason="is for tokens of workers"
        )
        _require(given, "user", "role")
        issued = _in_store(
            lambda store: _create_operator(store, given["user"], given["role"], given["description"], expires)
        )
        _issued(issued, issued.operator_token, as_json)
        return
    _refuse(given, "user", "role", reason="goes with --operator")
    _require(given, "worker_id")
    made = run(
        url,
        lambda client: client.tokens.create(
            given["worker_id"],
            description=given["description"],
            repositories=given["repositories"] or None,
            types=given["types"] or None,
            capabilities=given["capabilities"] or None,
            expires_at=expires,
        ),
    )
    _issued(made, made.worker_token, as_json)


@tokens.command("list")
@operator_option
@json_option
@url_option
def list_(of_operator: bool, as_json: bool, url: str | None) -> None:
    """List tokens, the newest first; ended ones for 30 days. Secrets are never shown.

    \b
    Example:
      sluicegate tokens list
    """
    if of_operator:
        _list_operators(as_json)
        return
    found = run(url, lambda client: client.tokens.list())
    if as_json:
        output.document({"items": found, "nextCursor": None})
        return
    rows = [
        [
            each.id, each.worker_id, _state(each), output.ago(each.created_at), _all(each.allowed_job_types),
            _all(each.allowed_repositories), _all(each.capabilities), each.description or "",
        ]
        for each in found
    ]  # fmt: skip
    headings = ("ID", "WORKER", "STATE", "AGE", "TYPES", "REPOSITORIES", "CAPABILITIES", "DESCRIPTION")
    output.table(headings, rows, empty="No tokens of workers.")


@tokens.command()
@click.argument("token_id")
@operator_option
@yes_option
@json_option
@url_option
def revoke(token_id: str, of_operator: bool, yes: bool, as_json: bool, url: str | None) -> None:
    """End a token. No request that begins from then on is let in by it.

    \b
    Example:
      sluicegate tokens revoke 0197b2a45c1e7d308f3a1b2c3d4e5f60
    """
    confirm(f"Revoke token {token_id}? Whoever uses it is locked out at once.", yes)
    if of_operator:
        shown: Any = _in_store(lambda store: _revoke_operator(store, token_id))
    else:
        shown = run(url, lambda client: client.tokens.revoke(token_id))
    if as_json:
        output.document(shown)
        return
    click.echo(f"Revoked {shown.id}.")


@tokens.command()
@click.argument("token_id")
@operator_option
@json_option
@url_option
def rotate(token_id: str, of_operator: bool, as_json: bool, url: str | None) -> None:
    """Give a token a new secret and print it; the old one works on for a while.

    How long is SLUICEGATE_TOKEN_ROTATION_GRACE_SECONDS; secrets before that one end at once.

    \b
    Example:
      sluicegate tokens rotate 0197b2a45c1e7d308f3a1b2c3d4e5f60
    """
    if of_operator:
        issued = _in_store(lambda store: _rotate_operator(store, token_id))
        _issued(issued, issued.operator_token, as_json)
        return
    made = run(url, lambda client: client.tokens.rotate(token_id))
    _issued(made, made.worker_token, as_json)


def _list_operators(as_json: bool) -> None:
    from sluicegate.operations import credentials

    found = _in_store(credentials.operator_tokens)
    if as_json:
        output.document({"items": found, "nextCursor": None})
        return
    rows = [
        [each.id, each.user_id, each.role, _state(each), output.ago(each.created_at), each.description or ""]
        for each in found
    ]
    headings = ("ID", "USER", "ROLE", "STATE", "AGE", "DESCRIPTION")
    output.table(headings, rows, empty="No tokens of operators.")


async def _create_operator(
    store: Store, user: str, role: Any, description: str | None, expires: str | None
) -> Any:
    from sluicegate.operations import credentials
    from sluicegate.operations.credentials import OperatorTokenCall
    from sluicegate.validation import convert

    fields = {"userId": user, "role": role, "description": description, "expiresAt": expires}
    call = convert(fields, OperatorTokenCall)
    return await credentials.create_operator_token(store, call, actor=store.settings.default_user_id)


async def _revoke_operator(store: Store, token_id: str) -> Any:
    from sluicegate.operations import credentials

    record = await credentials.revoke(store, "operator", token_id, actor=store.settings.default_user_id)
    return credentials.operator_token(record)


async def _rotate_operator(store: Store, token_id: str) -> Any:
    from sluicegate.operations import credentials

    text, record = await credentials.rotate(store, "operator", token_id, actor=store.settings.default_user_id)
    return credentials.IssuedOperatorToken(token=text, operator_token=credentials.operator_token(record))


def _in_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` makes of the opened store. Raises StoreUnavailable, StoreUninitialised."""
    import asyncio

    from sluicegate.settings import Settings, load
    from sluicegate.store import Store

    async def opened() -> T:
        store = await Store.open(load(Settings))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())


def _issued(issued: Any, token: Any, as_json: bool) -> None:
    """The token alone on stdout, so that a program can take it; all else for people."""
    if as_json:
        output.document(issued)
        return
    click.echo(f"Token {token.id}; its text is shown this once:", err=True)
    click.echo(issued.token)


def _in(seconds: float) -> str:
    try:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
    except OverflowError:
        raise click.BadParameter("is beyond the calendar", param_hint="--expires-in") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _state(token: Any) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None:
        from sluicegate.times import from_rfc3339, now_ms

        left = (from_rfc3339(token.expires_at) - now_ms()) / 1000
        return "expired" if left <= 0 else f"{output.span(left)} left"
    return "active"


def _all(values: Sequence[str] | None) -> str:
    return "any" if values is None else ",".join(values) or "none"


def _require(given: dict[str, Any], *names: str) -> None:
    for name in names:
        if not given[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} is needed")


def _refuse(given: dict[str, Any], *names: str, reason: str) -> None:
    spelled = {"repositories": "repository", "types": "type", "capabilities": "capability"}
    for name in names:
        if given[name]:
            raise click.UsageError(f"--{spelled.get(name, name).replace('_', '-')} {reason}")
