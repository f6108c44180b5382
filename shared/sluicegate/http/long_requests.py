"""Long polls and streams end within 100 ms of their client's leaving or of the service's stopping.

aiohttp does not tell a handler that its client went away, and cancelling handlers would also cut through
calls to the store whose outcome then nobody knows. So one task looks at all long requests of the app, and
only their waiting is cut short.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

LOOK_SECONDS: Final = 0.1
LONG: Final = web.RequestKey("long", bool)
"""Set on a request that waited because it was asked to: its length says nothing about the service."""


class LongRequests:
    """The waiting requests of one app. `stop` lets no one wait any longer; `close` ends the watching."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Timeout, web.Request] = {}
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    def over(self, request: web.Request) -> bool:
        """Nobody is there to be answered, or the service stops: do not go on waiting."""
        return self._stopping or gone(request)

    @asynccontextmanager
    async def patience(self, request: web.Request, seconds: float) -> AsyncIterator[None]:
        """The block is cut short after `seconds`, or as soon as the request is over; no error either way.

        Put only waiting inside: a call to the store that is cut short may have had its effect.
        """
        request[LONG] = True
        limit = asyncio.timeout(0 if self.over(request) else seconds)
        try:
            async with limit:
                self._waiting[limit] = request
                if self._watch is None:
                    self._watch = asyncio.create_task(self._look(), name="long requests")
                try:
                    yield
                finally:
                    del self._waiting[limit]
        except TimeoutError:
            if not limit.expired():
                raise

    def stop(self) -> None:
        self._stopping = True
        self._end_those_over()

    async def close(self) -> None:
        self.stop()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._end_those_over()

    def _end_those_over(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit in [limit for limit, request in self._waiting.items() if self.over(request)]:
            if not limit.expired():  # its request has been woken, and has not had its turn yet
                limit.reschedule(now)


def gone(request: web.Request) -> bool:
    """The client has closed its connection."""
    transport = request.transport
    return transport is None or transport.is_closing()
