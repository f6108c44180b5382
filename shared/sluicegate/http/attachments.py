"""A download that a browser saves and never shows: a job's file may be any page, with any script in it.

With ranges and conditions as RFC 9110 has them, so that a broken download can go on where it stopped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

from aiohttp import web

from sluicegate.errors import RangeNotSatisfiable
from sluicegate.http.long_requests import LONG
from sluicegate.http.sse import OPENED, STALLED_SECONDS

ANY: Final = "*"
HEADERS: Final = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Read(Protocol):
    """Reads `size` bytes from byte `start` on."""

    def __call__(self, *, start: int, size: int) -> AsyncGenerator[bytes, None]: ...


class Attachment(NamedTuple):
    """name: a file name. tag: changes with the content."""

    name: str
    content_type: str
    size: int
    tag: str
    read: Read


async def send(request: web.Request, attachment: Attachment) -> web.StreamResponse:
    """Raises what `read` raises before its first chunk, and RangeNotSatisfiable."""
    headers = {**HEADERS, "ETag": f'"{attachment.tag}"'}
    if any(known.value in (attachment.tag, ANY) for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    part = _part(request, attachment)
    start, size = part or (0, attachment.size)
    async with aclosing(attachment.read(start=start, size=size)) as chunks:
        # The first chunk comes before the status: that the content is gone can still be said.
        first = await anext(chunks, b"")
        response = web.StreamResponse(status=206 if part else 200, headers=headers)
        response.headers["Content-Type"] = attachment.content_type
        response.headers["Content-Disposition"] = disposition(attachment.name)
        if part:
            response.headers["Content-Range"] = f"bytes {start}-{start + size - 1}/{attachment.size}"
        response.content_length = size
        request[LONG] = True  # it takes as long as its client takes
        request[OPENED] = response
        await response.prepare(request)
        if request.method != "HEAD":
            await _write(response, first, chunks, size)
    return response


async def _write(response: web.StreamResponse, first: bytes, rest: AsyncIterator[bytes], size: int) -> None:
    """Whatever cuts it short, the client must not take what comes next on the connection for the rest."""
    try:
        await _send(response, first)
        size -= len(first)
        async for chunk in rest:
            await _send(response, chunk)
            size -= len(chunk)
    except BaseException:
        response.force_close()
        raise
    if size:
        response.force_close()


async def _send(response: web.StreamResponse, chunk: bytes) -> None:
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await response.write(chunk)
    except TimeoutError:
        raise ConnectionResetError("the client takes nothing") from None


def _part(request: web.Request, attachment: Attachment) -> tuple[int, int] | None:
    """The start and size of the part that was asked for; None for all of it.

    What is no range, several of them, or one of other content than this (If-Range) gets the whole.
    """
    if request.headers.get("If-Range", f'"{attachment.tag}"') != f'"{attachment.tag}"':
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked.start is None:
        return None
    start, end, _ = asked.indices(attachment.size)
    if asked.start >= attachment.size:
        raise RangeNotSatisfiable(f"the content has {attachment.size:,} bytes")
    return start, end - start


def disposition(name: str) -> str:
    """RFC 6266: the name in ASCII for old programs, and as it is (RFC 5987) where that differs."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"
