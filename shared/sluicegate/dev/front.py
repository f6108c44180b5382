"""One port in front of all services, as the proxy of a deployment would be (spec 60, "behind one address").

/api/queue and /mcp go to queue_api, everything else to control; /readyz and /metrics are merged from all
services, /openapi.json and /docs from those two; /healthz is the front's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import aiohttp
import msgspec
from aiohttp import web

from sluicegate.dev.merged_metrics import merge
from sluicegate.dev.proxy import Proxy, ServiceAwayError
from sluicegate.dev.supervisor import CONTROL, QUEUE_API
from sluicegate.errors import ConfigurationError, SluicegateError
from sluicegate.http import docs_page, openapi
from sluicegate.http.description import docs
from sluicegate.http.replies import problem, reply
from sluicegate.log import get
from sluicegate.metrics import CONTENT_TYPE
from sluicegate.queue_metrics import StoreFigures

log = get("sluicegate.dev")

OF_QUEUE_API: Final = ("/api/queue", "/mcp")
ANSWER_SECONDS: Final = 6.0
SHUTDOWN_SECONDS: Final = 1.0


class Upstream(Protocol):
    """A service as the front sees it: where it is now (None: nowhere), and what tells that it is ready."""

    @property
    def url(self) -> str | None: ...
    @property
    def ready_path(self) -> str: ...


class Front:
    """The app in front of `services` (name -> upstream; queue_api and control among them)."""

    def __init__(self, services: Mapping[str, Upstream]) -> None:
        self._services = services
        self._proxy = Proxy()

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Listen inside the block; yields the port, a free one for 0. Raises ConfigurationError."""
        app = web.Application(middlewares=[_problems])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/openapi.json", self._openapi)
        app.router.add_get("/docs", self._docs)
        app.router.add_route("*", "/{path:.*}", self._forward)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS
        )
        async with self._proxy:
            try:
                await runner.setup()
                site = web.TCPSite(runner, host, port, backlog=1024)
                try:
                    await site.start()
                except OSError as error:
                    raise ConfigurationError(
                        f"cannot listen on {host}:{port}: {error.strerror}; "
                        "choose another port with --port (0: a free one)"
                    ) from error
                yield int(runner.addresses[0][1])
            finally:
                await runner.cleanup()

    async def not_ready(self) -> dict[str, str]:
        """The services that are not ready, each with what it said; empty when all are."""
        answers = await asyncio.gather(*(self._reason(each) for each in self._services.values()))
        return {
            name: reason for name, reason in zip(self._services, answers, strict=True) if reason is not None
        }

    async def _healthz(self, _: web.Request) -> web.Response:
        return reply({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        """200 once every service is; else 503 with the reason of each that is not."""
        reasons = await self.not_ready()
        if not reasons:
            return reply({"status": "ready", "services": dict.fromkeys(self._services, "ready")})
        services = {name: reasons.get(name, "ready") for name in self._services}
        return problem(ServiceAwayError(f"not ready: {', '.join(sorted(reasons))}", services=services))

    async def _metrics(self, _: web.Request) -> web.Response:
        """All services' metrics on one page; a service that is away is left out."""
        pages = await asyncio.gather(*(self._get(each, "/metrics") for each in self._services.values()))
        texts = {
            name: page.decode()
            for name, page in zip(self._services, pages, strict=True)
            if isinstance(page, bytes)
        }
        of_the_store = {family.name for family in StoreFigures().collect()}
        return web.Response(body=merge(texts, of_the_store), headers={"Content-Type": CONTENT_TYPE})

    async def _openapi(self, _: web.Request) -> web.Response:
        return reply(await self._description())

    async def _docs(self, _: web.Request) -> web.Response:
        return docs(docs_page.render(await self._description()))

    async def _description(self) -> dict[str, Any]:
        """What both services say of themselves; 503 while one is away, never half of it."""
        names = (QUEUE_API.name, CONTROL.name)
        answers = await asyncio.gather(*(self._get(self._services[name], "/openapi.json") for name in names))
        found = []
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, str):
                raise ServiceAwayError(f"{name}: {answer}")
            found.append(msgspec.json.decode(answer))
        return openapi.merged(found)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        name = QUEUE_API.name if _is_under(request.path, OF_QUEUE_API) else CONTROL.name
        return await self._proxy.forward(request, self._services[name].url)

    async def _reason(self, service: Upstream) -> str | None:
        answer = await self._get(service, service.ready_path)
        return None if isinstance(answer, bytes) else answer

    async def _get(self, service: Upstream, path: str) -> bytes | str:
        """The body of a 200; else why there is none."""
        if service.url is None:
            return "not running"
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._proxy.session.get(service.url + path) as answer:
                body = await answer.read()
        except TimeoutError:
            return f"no answer within {ANSWER_SECONDS:g} s"
        except aiohttp.ClientError:
            return "starting, or just ended"
        if answer.status == 200:
            return body
        try:
            return str(msgspec.json.decode(body, type=dict[str, Any])["detail"])
        except (msgspec.DecodeError, KeyError):
            return f"answered {answer.status}"


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except SluicegateError as error:
        return problem(error)


def _is_under(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)
