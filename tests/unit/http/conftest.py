"""A small app with every kind of ending, on a store that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

import aiohttp
import pytest
from aiohttp import web
from msgspec import Meta, Struct

from sluicegate.errors import Busy, Conflict, StoreUnavailable
from sluicegate.http import (
    LONG_REQUESTS,
    Endpoint,
    EventStream,
    application,
    body,
    identity,
    query,
    reply,
    serving,
)
from sluicegate.settings import ServerSettings
from sluicegate.store import Store


class Thing(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    name: str = "none"
    lease_seconds: Annotated[float, Meta(ge=1)] = 1


class Asked(Struct, forbid_unknown_fields=True):
    limit: int = 5


class AwayStore:
    async def ping(self) -> None:
        raise StoreUnavailable("no store at redis://127.0.0.1:1/0")

    async def run(self, *_: Any, **__: Any) -> list[Any]:
        raise StoreUnavailable("no store at redis://127.0.0.1:1/0")


class Seen:
    """What the handlers saw."""

    def __init__(self) -> None:
        self.waiting = 0
        self.waited: list[float] = []


SEEN = web.AppKey("seen", Seen)


async def thing(request: web.Request) -> web.Response:
    return reply(await body(request, Thing))


async def optional_thing(request: web.Request) -> web.Response:
    return reply(await body(request, Thing, optional=True))


async def asked(request: web.Request) -> web.Response:
    return reply(query(request, Asked))


async def whoami(request: web.Request) -> web.Response:
    return reply({"user": identity(request).user_id, "role": identity(request).role})


async def fail(request: web.Request) -> web.Response:
    match request.match_info["how"]:
        case "busy":
            raise Busy("too much")
        case "conflict":
            raise Conflict("not now", code="not_drained", metrics={"running": 1})
        case "away":
            raise StoreUnavailable("gone")
        case "redirect":
            raise web.HTTPSeeOther("/thing")
    raise RuntimeError("secret: sgop_1234")


async def poll(request: web.Request) -> web.Response:
    seen, loop = request.app[SEEN], asyncio.get_running_loop()
    seen.waiting += 1
    started = loop.time()
    async with request.app[LONG_REQUESTS].patience(request, float(request.match_info["seconds"])):
        await asyncio.Event().wait()
    seen.waiting -= 1
    seen.waited.append(loop.time() - started)
    return reply({"over": request.app[LONG_REQUESTS].over(request)})


async def follow(request: web.Request) -> web.StreamResponse:
    stream = await EventStream.open(request)
    await stream.send(b'{"n":1}', event="job.event", id="1-0")
    await stream.send(b"{}", event="end")
    raise StoreUnavailable("gone in mid-stream")


ROUTES = (
    Endpoint(method="POST", path="/thing", handler=thing, may="viewer", body=Thing),
    Endpoint(
        method="POST", path="/optional", handler=optional_thing, may="viewer", body=Thing, optional_body=True
    ),
    Endpoint(method="GET", path="/asked", handler=asked, may="viewer", query=Asked),
    Endpoint(method="GET", path="/whoami", handler=whoami, may="viewer"),
    Endpoint(method="GET", path="/fail/{how}", handler=fail, may="viewer"),
    Endpoint(method="POST", path="/poll/{seconds}", handler=poll, may="viewer"),
    Endpoint(method="GET", path="/follow", handler=follow, may="viewer", media="text/event-stream"),
)


class Site:
    def __init__(self, url: str, session: aiohttp.ClientSession, app: web.Application) -> None:
        self.url, self.session, self.app = url, session, app

    async def call(self, method: str, path: str, **rest: Any) -> aiohttp.ClientResponse:
        response = await self.session.request(method, self.url + path, allow_redirects=False, **rest)
        await response.read()
        return response


def small_app(settings: ServerSettings) -> web.Application:
    app = application(settings, cast(Store, AwayStore()), ROUTES)
    app[SEEN] = Seen()
    return app


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    app = small_app(ServerSettings(max_body_bytes=1_000))
    async with (
        serving(app, "127.0.0.1", 0) as (host, port),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
    ):
        yield Site(f"http://{host}:{port}", session, app)
