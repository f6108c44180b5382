"""`sluicegate mcp`: the queue's tools for an MCP client."""

from __future__ import annotations

import asyncio

import click

from sluicegate.cli.connection import url_option

DEFAULT_PORT = 8765


@click.command()
@click.option("--http", is_flag=True, help="Serve streamable HTTP at /mcp instead of stdin and stdout.")
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", show_default=True, help="With --http.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, metavar="PORT", show_default=True,
    help="With --http; 0: any free one, which the log names.",
)  # fmt: skip
@click.option(
    "--allow-host", "allowed_hosts", multiple=True, metavar="NAME",
    help="With --http: let clients on other machines in, under this host name; may be repeated. Whoever"
    " reaches the port acts with SLUICEGATE_TOKEN.",
)  # fmt: skip
@url_option
def mcp(http: bool, host: str, port: int, allowed_hosts: tuple[str, ...], url: str | None) -> None:
    """Give an MCP client the queue's tools: enqueue, watch, cancel, claim and end jobs.

    Talks to the deployment at SLUICEGATE_URL with SLUICEGATE_TOKEN. An MCP client starts this command
    itself and speaks to it over stdin and stdout; the log goes to stderr.

    \b
    Examples:
      sluicegate mcp
      sluicegate mcp --http --port 8765
    """
    from sluicegate import log
    from sluicegate.settings import ClientSettings, load

    if not http and (allowed_hosts or _given("host") or _given("port")):
        raise click.UsageError("--host, --port and --allow-host go with --http")
    settings = load(ClientSettings, flags={"url": url})
    log.configure("mcp", "warning" if not http else "info")
    asyncio.run(_serve(settings.url, settings.token, (host, port) if http else None, allowed_hosts))


async def _serve(
    url: str, token: str | None, address: tuple[str, int] | None, allowed_hosts: tuple[str, ...]
) -> None:
    from sluicegate.mcp import server
    from sluicegate.mcp.upstream import Upstream

    async with Upstream(url, token) as upstream:
        if address is None:
            from sluicegate.mcp import stdio

            await stdio.serve(server.build(upstream))
        else:
            from sluicegate.mcp import http

            await http.serve(server.build(upstream), *address, allowed_hosts)


def _given(name: str) -> bool:
    context = click.get_current_context()
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
