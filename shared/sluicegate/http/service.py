"""One HTTP service: its app, its health, and its life from the first connection to SIGTERM.

On SIGTERM or SIGINT it stops accepting, long polls and streams end at once, requests under way are
answered, and then everything is closed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal

from aiohttp import web
from msgspec import Struct

from sluicegate import tracing
from sluicegate.auth.identities import Identities
from sluicegate.errors import ConfigurationError
from sluicegate.http import description
from sluicegate.http.edge import edge
from sluicegate.http.endpoints import Endpoint, Endpoints
from sluicegate.http.keys import ENDPOINTS, IDENTITIES, LONG_REQUESTS, METRICS, RATE_LIMITS, SETTINGS, STORE
from sluicegate.http.long_requests import LongRequests
from sluicegate.http.origin import is_loopback
from sluicegate.http.rate_limits import RateLimits
from sluicegate.http.replies import reply
from sluicegate.http.spans import traced
from sluicegate.log import log
from sluicegate.metrics import CONTENT_TYPE, ServerMetrics
from sluicegate.service import until_signalled
from sluicegate.settings import ServerSettings
from sluicegate.store import Store

SHUTDOWN_SECONDS: Final = 10.0
KEEPALIVE_SECONDS: Final = 75.0


def application(
    settings: ServerSettings,
    store: Store,
    endpoints: Sequence[Endpoint],
    *,
    metrics: ServerMetrics | None = None,
) -> web.Application:
    """An app with `endpoints`, health, metrics and its description. The store stays the caller's to close."""
    middlewares = [traced, edge] if tracing.is_on() else [edge]
    app = web.Application(middlewares=middlewares, client_max_size=settings.max_body_bytes)
    app[SETTINGS] = settings
    app[STORE] = store
    app[METRICS] = metrics or ServerMetrics()
    app[IDENTITIES] = Identities(settings, store)
    app[ENDPOINTS] = Endpoints((*endpoints, *HEALTH, *description.ENDPOINTS))
    app[description.DESCRIPTION] = description.Description(app[ENDPOINTS].table)
    app[LONG_REQUESTS] = LongRequests()
    app[RATE_LIMITS] = RateLimits(settings.rate_limit, settings.rate_limit_burst)
    app.add_routes([route for endpoint in app[ENDPOINTS].table for route in endpoint.routes()])
    app.on_shutdown.append(_end_waiting)
    app.on_cleanup.append(_close_waiting)
    app.on_cleanup.append(_close_identities)
    return app


async def run(app: web.Application, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigurationError when the address cannot be used."""
    async with until_signalled() as stop:
        async with serving(app, host, port) as bound:
            log.info("service_listening", host=bound[0], port=bound[1])
            await stop.wait()
            log.info("service_stopping")
        log.info("service_stopped")


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """The app listens inside the block; yields the bound host and port (port 0 takes a free one)."""
    await refuse_open_address(app[SETTINGS], host)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=KEEPALIVE_SECONDS
    )
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}; "
                "is another process there? choose another host or port"
            ) from error
        bound = runner.addresses[0]
        yield str(bound[0]), int(bound[1])
    finally:
        await runner.cleanup()


async def refuse_open_address(settings: ServerSettings, host: str) -> None:
    """While auth is disabled, every address behind `host` must be a loopback one (70-63)."""
    if settings.auth != "disabled" or settings.allow_insecure or is_loopback(host):
        return
    addresses: list[str] = []
    if host:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConfigurationError(f"SLUICEGATE_HOST={host!r} is not an address: {error}") from error
        addresses = [str(each[4][0]) for each in found]
    if not addresses or not all(is_loopback(each) for each in addresses):
        raise ConfigurationError(
            f"SLUICEGATE_HOST={host!r} is refused while SLUICEGATE_AUTH=disabled: whoever reaches it "
            "could run jobs; listen on 127.0.0.1, or set SLUICEGATE_ALLOW_INSECURE=1 to do it all the same"
        )


async def _healthz(_: web.Request) -> web.Response:
    """The process is alive; says nothing about the store."""
    return reply({"status": "ok"})


async def _readyz(request: web.Request) -> web.Response:
    """The store answers, is initialised and of a version that this service knows; else 503."""
    await request.app[STORE].ping()
    return reply({"status": "ready"})


async def _metrics(request: web.Request) -> web.Response:
    text = await request.app[METRICS].page(request.app[STORE])
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


async def _end_waiting(app: web.Application) -> None:
    app[LONG_REQUESTS].stop()


async def _close_waiting(app: web.Application) -> None:
    await app[LONG_REQUESTS].close()


async def _close_identities(app: web.Application) -> None:
    await app[IDENTITIES].close()


class Alive(Struct):
    status: Literal["ok"]


class Ready(Struct):
    status: Literal["ready"]


HEALTH: Final = (
    Endpoint(
        method="GET", path="/healthz", handler=_healthz, may="open", tag="health",
        summary="The process lives", replies={200: Alive},
    ),
    Endpoint(
        method="GET", path="/readyz", handler=_readyz, may="open", tag="health",
        summary="The store can be used", replies={200: Ready},
        errors=("store_unavailable", "store_uninitialised", "store_version"),
    ),
    Endpoint(
        method="GET", path="/metrics", handler=_metrics, may="open", tag="health",
        summary="Metrics for Prometheus", replies={200: None}, media="text/plain",
    ),
)  # fmt: skip
