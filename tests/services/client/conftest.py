"""A deployment in this process, and a client on each way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from services.control.app import build as build_control
from services.queue_api.app import build as build_queue_api
from sluicegate.client import Client
from sluicegate.dev.front import Front
from sluicegate.http import serving
from sluicegate.settings import ControlSettings, QueueApiSettings, Settings
from sluicegate.store.connection import Store

Opened = Callable[[], Client]


class Service:
    """A service that listens in this process, as the front sees it."""

    ready_path = "/readyz"

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"


@asynccontextmanager
async def deployment(store: Store, *, port: int = 0) -> AsyncIterator[str]:
    """The address of both services behind one front; gone with the block, the store stays."""
    rules = msgspec.structs.asdict(store.settings)
    apps: dict[str, web.Application] = {
        "queue_api": build_queue_api(QueueApiSettings(**rules), store),
        "control": build_control(ControlSettings(**rules), store),
    }
    async with AsyncExitStack() as stack:
        services = {}
        for name, app in apps.items():
            _, bound = await stack.enter_async_context(serving(app, "127.0.0.1", 0))
            services[name] = Service(bound)
        listening = await stack.enter_async_context(Front(services).serving("127.0.0.1", port))
        yield f"http://127.0.0.1:{listening}"


@pytest.fixture
async def url(store: Store) -> AsyncIterator[str]:
    async with deployment(store) as address:
        yield address


@pytest.fixture(params=["http", "redis"])
async def client(request: pytest.FixtureRequest, store: Store, settings: Settings) -> AsyncIterator[Client]:
    """Every test that takes it runs over both transports, with one and the same expectation (70-58)."""
    if request.param == "http":
        async with deployment(store) as address, Client.from_url(address) as opened:
            yield opened
        return
    async with Client.from_redis(settings.redis_url, settings=settings) as opened:
        yield opened
