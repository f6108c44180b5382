"""A form with one file (multipart/form-data, RFC 7578), read as it comes: nothing of the file is held.

Fields may stand before the file or behind it: whoever takes the file in decides about it afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, Generic, Self, TypeVar

import msgspec
from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from sluicegate.errors import BadRequest, Invalid, UnsupportedMediaType
from sluicegate.http.long_requests import LONG
from sluicegate.http.requests import require_declared
from sluicegate.operations.wrong_fields import fields_of
from sluicegate.validation import convert

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")

FILE: Final = "file"
MAX_FIELD_BYTES: Final = 8192
CHUNK_BYTES: Final = 64 * 1024
PLAIN: Final = frozenset({"binary", "8bit", "7bit"})
IDLE_SECONDS: Final = 60.0
"""So long nothing may come: then the connection is closed, or a client that hangs would hold half a file."""


class UploadForm(Generic[T]):
    """First `open`, then `file` to its end, then `fields`.

    given: the fields that stood before the file, not yet checked.
    """

    def __init__(self, request: web.Request, kind: type[T]) -> None:
        self.given: dict[str, str] = {}
        self._request = request
        self._kind = kind
        self._names = fields_of(kind).keys()
        self._parts: MultipartReader
        self._file: BodyPartReader

    @classmethod
    async def open(cls, request: web.Request, kind: type[T]) -> Self:
        """The form up to its file.

        Raises UnsupportedMediaType, BadRequest (no form, or a broken one), Invalid (a wrong field, no file).
        """
        require_declared(request, "upload", kind)
        if request.content_type != "multipart/form-data":
            raise UnsupportedMediaType("send the form as multipart/form-data")
        request[LONG] = True  # it takes as long as its client takes
        form = cls(request, kind)
        form._parts = await form._read(request.multipart())
        file = await form._next_file()
        if file is None:
            form._decoded(None)
            raise Invalid.field(FILE, "is missing")
        form._file = file
        return form

    async def file(self) -> AsyncIterator[bytes]:
        """The content, in chunks. Raises BadRequest, also when the client is gone, or hangs."""
        while chunk := await self._read(self._file.read_chunk(CHUNK_BYTES)):
            yield chunk

    async def fields(self, complete: Callable[[Any], Any] | None = None) -> T:
        """All fields, once the file was read. complete: adds what may be left out.

        Raises Invalid, BadRequest.
        """
        if await self._next_file() is not None:
            raise Invalid.field(FILE, "given more than once")
        return self._decoded(complete)

    async def _next_file(self) -> BodyPartReader | None:
        """The next part that is the file, with the fields before it in `given`."""
        while (part := await self._read(self._parts.next())) is not None:
            name = part.name if isinstance(part, BodyPartReader) else None
            if not isinstance(part, BodyPartReader) or name is None:
                raise BadRequest("a part of the form has no name")
            if part.headers.get("Content-Transfer-Encoding", "binary").lower() not in PLAIN:
                raise BadRequest(f"the form's part {name[:64]!r} is encoded; send it as it is")
            if name == FILE:
                return part
            if name not in self._names:
                raise Invalid.field(name[:64], "is not a field here")
            if name in self.given:
                raise Invalid.field(name, "given more than once")
            self.given[name] = await self._text(part, name)
        return None

    def _decoded(self, complete: Callable[[Any], Any] | None) -> T:
        return convert(self.given if complete is None else complete(self.given), self._kind)

    async def _text(self, part: BodyPartReader, name: str) -> str:
        raw = bytearray()
        while chunk := await self._read(part.read_chunk(CHUNK_BYTES)):
            raw += chunk
            if len(raw) > MAX_FIELD_BYTES:
                raise Invalid.field(name, f"has more than {MAX_FIELD_BYTES:,} bytes")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise Invalid.field(name, "is not UTF-8") from None

    async def _read(self, reading: Coroutine[Any, Any, R]) -> R:
        """What a reader of forms gives, and one error for all the ways in which a form can be broken."""
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                return await reading
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise BadRequest("the client sent nothing for too long") from None
        except ConnectionError:
            raise BadRequest("the client left") from None  # aiohttp would log it as an error of ours
        except (ValueError, RuntimeError, HttpProcessingError, web.RequestPayloadError) as error:
            raise BadRequest(f"the form cannot be read: {error}") from None
