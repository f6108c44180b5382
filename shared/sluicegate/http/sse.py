"""Server-Sent Events: one open response, written as things happen, kept alive by comments."""

from __future__ import annotations

from typing import Final, Self

from aiohttp import web

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
OPENED: Final = web.RequestKey("opened", web.StreamResponse)
"""The stream that a request has opened: an error after that can only end it."""


class EventStream:
    """Opened after everything that can be refused was refused: once it is open there is no status to send.

    Each method raises ConnectionResetError when the client is gone; let it through.
    """

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    @classmethod
    async def open(cls, request: web.Request) -> Self:
        response = web.StreamResponse(headers=HEADERS)
        request[OPENED] = response
        await response.prepare(request)
        stream = cls(response)
        await stream.keepalive()
        return stream

    async def send(self, data: bytes, *, event: str, id: str | None = None) -> None:
        """data: one line, such as a JSON document. id: what a client resumes from (`Last-Event-ID`)."""
        head = f"id: {id}\nevent: {event}\n" if id is not None else f"event: {event}\n"
        await self.response.write(head.encode() + b"data: " + data + b"\n\n")

    async def keepalive(self) -> None:
        await self.response.write(b": keepalive\n\n")
