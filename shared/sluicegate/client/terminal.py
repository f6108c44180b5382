"""The terminal of a run over the API: what it shows, and the way to type into it (`terminal_messages.py`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from sluicegate.errors import OutcomeUnknown
from sluicegate.operations import terminal_messages as messages
from sluicegate.operations.terminal_messages import Asked, Told

if TYPE_CHECKING:
    from sluicegate.client.http_connection import HttpConnection

PATH: Final = "/api/task-runs/{}/terminal"


class RemoteTerminal:
    """One open WebSocket. code and reason: why it was closed, once `shown` has ended."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.code: int | None = None
        self.reason = ""

    async def shown(self) -> AsyncGenerator[bytes | Told, None]:
        """What comes, until it is closed. Raises OutcomeUnknown for what no service sends."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case aiohttp.WSMsgType.BINARY:
                    yield message.data
                case aiohttp.WSMsgType.TEXT:
                    try:
                        yield messages.told(message.data)
                    except msgspec.DecodeError as error:
                        raise OutcomeUnknown(f"the service speaks another language: {error}") from error
                case _:
                    self.code = self._socket.close_code
                    self.reason = str(message.extra or "")
                    return

    async def send(self, message: Asked) -> None:
        """Nothing when it is closed."""
        if not self._socket.closed:
            await self._socket.send_str(messages.encode(message).decode())


@asynccontextmanager
async def open_terminal(connection: HttpConnection, job_id: str) -> AsyncIterator[RemoteTerminal]:
    """Inside the block it is open. Raises NotFound, Unauthenticated, Forbidden, Busy, ServerUnreachable."""
    async with connection.websocket(PATH.format(job_id)) as socket:
        yield RemoteTerminal(socket)
