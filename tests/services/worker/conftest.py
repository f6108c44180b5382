"""Both ways of a worker to the queue: straight to the store, and through a queue_api in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal

import msgspec
import pytest

from services.queue_api.app import build
from sluicegate.errors import StoreUnavailable
from sluicegate.http import serving
from sluicegate.settings import QueueApiSettings, Settings, WorkerSettings
from sluicegate.store import Store
from sluicegate.store.control_feed import Control
from sluicegate.worker import Worker
from sluicegate.worker.transports import Transport
from sluicegate.worker.transports.http import HttpTransport
from sluicegate.worker.transports.redis import RedisTransport

Hearing = Literal["hearing", "deaf", "unwatchable"]
GONE = "redis://127.0.0.1:1/0"
"""A store that a remote worker could not reach if it tried."""


class Way:
    """One way to the queue. `url` is None for the way straight to the store."""

    def __init__(self, settings: Settings, url: str | None) -> None:
        self._settings = settings
        self.url = url

    @property
    def name(self) -> str:
        return "redis" if self.url is None else "http"

    def settings(self, **changes: Any) -> WorkerSettings:
        """A worker's settings on this way; a remote one's name no store."""
        rules = msgspec.structs.asdict(self._settings)
        if self.url is not None:
            rules |= {"url": self.url, "redis_url": GONE}
        return WorkerSettings(**{**rules, **changes})

    def transport(self, settings: WorkerSettings, hearing: Hearing = "hearing") -> Transport:
        """deaf: hears no push, neither of a cancel nor of a resume."""
        made = RedisTransport(settings) if self.url is None else HttpTransport(settings)
        if hearing != "hearing":
            made.watch = _deaf if hearing == "deaf" else _unwatchable  # type: ignore[method-assign]
        return made

    def worker(self, hearing: Hearing = "hearing", **changes: Any) -> Worker:
        settings = self.settings(**changes)
        return Worker(settings, self.transport(settings, hearing))


async def _deaf(deliver: Callable[[Control], None]) -> None:
    await asyncio.sleep(0)


async def _unwatchable(deliver: Callable[[Control], None]) -> None:
    raise StoreUnavailable("the store went away just now")


@pytest.fixture(params=["redis", "http"])
async def way(request: pytest.FixtureRequest, store: Store, settings: Settings) -> AsyncIterator[Way]:
    """Every test that takes it runs over both transports, with one and the same expectation."""
    async with AsyncExitStack() as stack:
        url = None
        if request.param == "http":
            served = QueueApiSettings(**msgspec.structs.asdict(settings))
            host, port = await stack.enter_async_context(serving(build(served, store), "127.0.0.1", 0))
            url = f"http://{host}:{port}"
        yield Way(settings, url)
