"""Files of a job over HTTP, in constant memory: as a form there, as a checked copy back (Q-10)."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from sluicegate.client.http_connection import CONNECT_SECONDS, SILENCE_SECONDS, HttpConnection
from sluicegate.client.patience import Patience
from sluicegate.errors import OutcomeUnknown, SluicegateError, StoreUnavailable

if TYPE_CHECKING:
    from sluicegate.store.shelves import Artifact

PAGE: Final = 200
CHUNK_BYTES: Final = 256 * 1024
TIMEOUT: Final = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
"""A large file may take long; nothing at all for a minute is too long."""


async def upload(
    connection: HttpConnection,
    path: str,
    fields: Mapping[str, str],
    content: bytes | Path,
    *,
    retry_seconds: float,
) -> bytes:
    """The reply's body. Sent again after a lost reply: only for uploads that replace what was there.

    The form's `digest` is added, so that what arrived is what was sent.
    """
    patience = Patience(retry_seconds)
    digest = await asyncio.to_thread(_digest, content)
    while True:
        file = await asyncio.to_thread(_opened, content)
        try:
            form = aiohttp.FormData({**fields, "digest": digest})
            form.add_field("file", file, filename="content", content_type="application/octet-stream")
            async with connection.exchange("POST", path, data=form, timeout=TIMEOUT) as reply:
                return await reply.read()
        except (StoreUnavailable, OutcomeUnknown) as error:
            await patience.wait(error)
        finally:
            file.close()


async def listing(
    connection: HttpConnection, path: str, *, retry_seconds: float | None = None
) -> list[Artifact]:
    """All artifacts of a job, by name."""
    from sluicegate.operations.answers import Listed
    from sluicegate.store.shelves import Artifact

    found: list[Artifact] = []
    query = {"limit": str(PAGE)}
    while True:
        reply = await connection.call("GET", path, params=query, retry_seconds=retry_seconds)
        try:
            page = msgspec.json.decode(reply, type=Listed[Artifact])
        except msgspec.DecodeError as error:
            raise SluicegateError(f"the server's answer is not understood: {error}") from error
        found += page.items
        if page.next_cursor is None:
            return found
        query["cursor"] = page.next_cursor


async def download(
    connection: HttpConnection, path: str, target: Path, *, digest: str, retry_seconds: float
) -> None:
    """The content in `target`, which is there in whole and with this digest when this returns."""
    patience = Patience(retry_seconds)
    while True:
        try:
            found = await _copied(connection, path, target)
            error: SluicegateError = OutcomeUnknown(
                f"what {connection.address} sent is not the content {digest}"
            )
        except (StoreUnavailable, OutcomeUnknown) as broken:
            found, error = "", broken
        if found == digest:
            return
        await patience.wait(error)


async def _copied(connection: HttpConnection, path: str, target: Path) -> str:
    """The digest of what was copied."""
    found = hashlib.sha256()
    async with connection.exchange("GET", path, timeout=TIMEOUT) as reply:
        with await asyncio.to_thread(target.open, "wb") as file:
            async for chunk in reply.content.iter_chunked(CHUNK_BYTES):
                found.update(chunk)
                await asyncio.to_thread(file.write, chunk)
    return f"sha256:{found.hexdigest()}"


def _opened(content: bytes | Path) -> io.BufferedReader | io.BytesIO:
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


def _digest(content: bytes | Path) -> str:
    with _opened(content) as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
