"""A request's body and parameters become structs that forbid unknown fields, or the request is refused."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from aiohttp import web

from sluicegate.errors import BadRequest, Invalid, UnsupportedMediaType
from sluicegate.validation import convert_text, decode

T = TypeVar("T", bound=msgspec.Struct)

_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


async def body(request: web.Request, kind: type[T], *, optional: bool = False) -> T:
    """The JSON body as a `kind`.

    optional: no body at all is the `kind` without fields (cancel, revoke, rotate).
    Raises UnsupportedMediaType, BadRequest (not JSON), Invalid (wrong or unknown fields).
    """
    if request.headers.get("Content-Type") != "application/json":
        _require_json(request)
    raw = await content(request)
    if not raw:
        if optional:
            return kind()
        raise BadRequest("the body is empty; send a JSON object")
    return decode(raw, kind)


async def content(request: web.Request) -> bytes:
    """The whole body, up to SLUICEGATE_MAX_BODY_BYTES. Raises BadRequest when its encoding is broken."""
    try:
        return await request.read()
    except web.RequestPayloadError:
        raise BadRequest("the body cannot be read: its length or its encoding is not what was said") from None


def query(request: web.Request, kind: type[T]) -> T:
    """The query parameters as a `kind`. Raises Invalid; a parameter given twice is refused too."""
    values = request.query
    if len(values) != len(set(values)):
        twice = sorted({name for name in values if len(values.getall(name)) > 1})
        raise Invalid.field(twice[0], "given more than once")
    return convert_text(dict(values), kind)


def _require_json(request: web.Request) -> None:
    """A request without a body may call it anything but what a form of another site can send (70-18)."""
    if not request.body_exists and request.content_type not in _FORMS:
        return
    if request.content_type != "application/json":
        raise UnsupportedMediaType("send the body as application/json")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("send the JSON in UTF-8")
