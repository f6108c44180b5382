"""Server-Sent Events: one open response, written as things happen, kept alive by comments."""

from __future__ import annotations

from typing import Final, Self

import msgspec
from aiohttp import web

from sluicegate.http.long_requests import LongRequests
from sluicegate.model import Event

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
STALLED_SECONDS: Final = 60.0
"""A client that takes nothing for this long is left: it can resume."""
OPENED: Final = web.RequestKey("opened", web.StreamResponse)
"""The stream that a request has opened: an error after that can only end it."""


def frame(data: bytes, *, event: str, id: str | None = None) -> bytes:
    """data: one line, such as a JSON document. id: what a client resumes from (`Last-Event-ID`)."""
    head = f"id: {id}\nevent: {event}\n" if id is not None else f"event: {event}\n"
    return head.encode() + b"data: " + data + b"\n\n"


def event_frame(event: Event) -> bytes:
    """One event of a job's history (70-14)."""
    return frame(msgspec.json.encode(event), event="job.event", id=event.id)


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
        """As `frame` says."""
        await self.write(frame(data, event=event, id=id))

    async def write(self, frames: bytes) -> None:
        """Returns when the client has taken enough of it for more to be sent."""
        await self.response.write(frames)

    async def write_soon(self, frames: bytes, request: web.Request, long_requests: LongRequests) -> bool:
        """`write`, for a client that may not be reading: False when it was given up, or the service stops."""
        written = False
        async with long_requests.patience(request, STALLED_SECONDS):
            await self.write(frames)
            written = True
        if not written and request.transport is not None:
            request.transport.abort()  # an orderly end would wait for the client too
        return written

    async def place(self, id: str) -> None:
        """What a client resumes from that was sent no event yet: no event itself (WHATWG HTML, 9.2.6)."""
        await self.write(f": from here\nid: {id}\n\n".encode())

    async def keepalive(self) -> None:
        await self.write(b": keepalive\n\n")
