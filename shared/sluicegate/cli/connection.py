"""How commands reach a deployment: `--url`, settings, one client per command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from sluicegate.client import Client

T = TypeVar("T")
RETRY_SECONDS = 0.5  # people wait: a server that is just starting is met, a missing one reported at once

url_option = click.option(
    "--url", metavar="URL", help="Address of the deployment (SLUICEGATE_URL) [http://127.0.0.1:8080]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the JSON of the REST API.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def run(url: str | None, work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` makes of an open client. Raises SluicegateError."""
    from sluicegate.client import Client
    from sluicegate.settings import ClientSettings, load

    settings = load(ClientSettings, flags={"url": url})

    async def connected() -> T:
        async with Client.from_url(settings.url, settings.token, retry_seconds=RETRY_SECONDS) as client:
            return await work(client)

    return asyncio.run(connected())


def confirm(question: str, yes: bool) -> None:
    """Ask a person; a program, which has no terminal, has decided already. Ends with 1 on a no."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(question, abort=True, err=True)
