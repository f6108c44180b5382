"""`/api/task-runs/{id}/terminal`: a run's terminal, to watch and, under a grant, to type into."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from aiohttp import WSMsgType, web

from services.control.terminals import Terminals, Viewer
from sluicegate.auth.identity import Identity
from sluicegate.errors import BadRequest, Forbidden, Invalid, NotFound, SluicegateError
from sluicegate.http import LONG_REQUESTS, SETTINGS, STORE, Admission, identity
from sluicegate.http.origin import require_own_origin
from sluicegate.http.sse import OPENED
from sluicegate.metrics import TerminalMetrics
from sluicegate.operations import terminal_messages as messages
from sluicegate.operations.terminal_messages import Asked, GiveBack, Input
from sluicegate.store import terminals
from sluicegate.store.connection import Store

TERMINALS: Final = web.AppKey("terminals", Terminals)
TERMINAL_METRICS: Final = web.AppKey("terminal_metrics", TerminalMetrics)

PING_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 2.0
"""So long a client has to take the reason why it is left."""
REASONS: Final = {
    messages.ENDED: "over",
    messages.GOING_AWAY: "stopping",
    messages.NOT_UNDERSTOOD: "not_understood",
    messages.NOT_ALLOWED: "not_allowed",
    messages.SLOW: "slow",
}


async def terminal(request: web.Request) -> web.StreamResponse:
    """Bytes and JSON out, JSON in (`operations/terminal_messages.py`)."""
    require_own_origin(request, request.app[SETTINGS])  # a browser lets any page open a WebSocket
    socket = web.WebSocketResponse(
        heartbeat=PING_SECONDS, compress=False, max_msg_size=messages.MAX_MESSAGE_BYTES, timeout=CLOSE_SECONDS
    )
    store, job_id, who = request.app[STORE], request.match_info["id"], identity(request)
    standing = await terminals.standing(store, job_id)
    if standing.job_status is None:
        raise NotFound(f"there is no job {job_id[:64]}", code="job_not_found")
    if not standing.open:
        raise NotFound(f"job {job_id} has no live session now", code="live_session_not_found")
    if not socket.can_prepare(request).ok:
        raise BadRequest("this address is a WebSocket: ask for an upgrade")
    async with request.app[TERMINALS].watching(job_id, who.user_id) as viewer:
        await socket.prepare(request)
        request[OPENED] = socket  # whatever goes wrong from here on can only end it
        await _Conversation(request, socket, viewer, store, who).hold()
    return socket


class _Conversation:
    """One open WebSocket."""

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, viewer: Viewer, store: Store, who: Identity
    ) -> None:
        self._request, self._socket, self._viewer = request, socket, viewer
        self._store, self._who = store, who
        self._job_id = request.match_info["id"]
        self._metrics = request.app[TERMINAL_METRICS]

    async def hold(self) -> None:
        """Until it is over for whatever reason; then it is closed with a code and a reason."""
        tasks: list[asyncio.Task[object]] = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("terminal viewer: sends", self._send()),
                ("terminal viewer: hears", self._hear()),
                ("terminal viewer: over", self._viewer.over.wait()),
            )
        ]
        try:
            await self._wait(tasks)
            if self._viewer.code == messages.ENDED:  # what the terminal showed last comes before the end
                await asyncio.wait(tasks[:1], timeout=CLOSE_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    async def _wait(self, tasks: Sequence[asyncio.Task[object]]) -> None:
        long_requests = self._request.app[LONG_REQUESTS]
        admission = Admission(self._request, "viewer")
        keepalive = self._request.app[SETTINGS].sse_keepalive_seconds
        while not any(task.done() for task in tasks):
            if long_requests.over(self._request):
                self._viewer.end(messages.GOING_AWAY, "the service stops")
            elif not await admission.holds():
                self._viewer.end(messages.NOT_ALLOWED, "the credential is not accepted any more")
            async with long_requests.patience(self._request, keepalive):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _send(self) -> None:
        """What the viewer is given, to the last of it once there is nothing more to come."""
        while not (self._viewer.over.is_set() and self._viewer.has_all):
            for frame in await self._viewer.take():
                if isinstance(frame, bytes):
                    await self._socket.send_bytes(frame)
                else:
                    await self._socket.send_str(messages.encode(frame).decode())

    async def _hear(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                await self._not_understood(Invalid("send text frames with JSON", code="bad_request"))
                return
            try:
                asked = messages.asked(message.data)
            except Invalid as error:
                await self._not_understood(error)
                return
            try:
                await self._type(asked)
            except SluicegateError as error:
                self._metrics.typed.labels("refused").inc()
                self._viewer.put(messages.refused(error))
        self._viewer.end(0, "")

    async def _type(self, asked: Asked) -> None:
        if not self._who.at_least("operator"):
            raise Forbidden(f"typing needs the role operator; the credential has the role {self._who.role}")
        if isinstance(asked, GiveBack):
            await terminals.give_back(self._store, self._job_id, self._who.user_id)
            return
        if isinstance(asked, Input):
            data = asked.data.encode("utf-8", "surrogatepass")
            await terminals.type_into(self._store, self._job_id, self._who.user_id, "d", data)
        else:
            size = f"{asked.columns}x{asked.rows}".encode()
            await terminals.type_into(self._store, self._job_id, self._who.user_id, "size", size)
        self._metrics.typed.labels("typed").inc()

    async def _not_understood(self, error: Invalid) -> None:
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.send_str(messages.encode(messages.refused(error)).decode())
        self._viewer.end(messages.NOT_UNDERSTOOD, "a message was not understood")

    async def _close(self) -> None:
        """With the reason, if the client takes it; else without."""
        viewer, transport = self._viewer, self._request.transport
        left = self._socket.closed or not viewer.over.is_set() or not viewer.code
        self._metrics.ended.labels("left" if left else REASONS[viewer.code]).inc()
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code=viewer.code or 1000, message=viewer.reason.encode()[:120])
        if transport is not None:
            transport.abort()
