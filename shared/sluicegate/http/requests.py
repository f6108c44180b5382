"""A request's body and parameters become structs that forbid unknown fields, or the request is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from sluicegate.errors import BadRequest, Forbidden, Invalid, UnsupportedMediaType
from sluicegate.http.keys import ENDPOINTS, IDENTITIES, IDENTITY
from sluicegate.validation import convert, convert_text, decode

T = TypeVar("T", bound=msgspec.Struct)

MAX_FIELDS: Final = 2_000
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


async def body(
    request: web.Request,
    kind: type[T],
    *,
    optional: bool = False,
    complete: Callable[[Any], Any] | None = None,
) -> T:
    """The JSON body as a `kind`.

    optional: no body at all is the `kind` without fields (cancel, revoke, rotate). complete: adds what may
    be left out to a decoded document that is no `kind`.
    Raises UnsupportedMediaType, BadRequest (not JSON), Invalid (wrong or unknown fields).
    """
    require_declared(request, "body", kind)
    if request.headers.get("Content-Type") != "application/json":
        _require_json(request)
    raw = await content(request)
    if not raw:
        if optional:
            return kind()
        raise BadRequest("the body is empty; send a JSON object")
    try:
        return decode(raw, kind)
    except Invalid:
        if complete is None:
            raise
        return convert(complete(msgspec.json.decode(raw)), kind)


async def content(request: web.Request) -> bytes:
    """The whole body, up to SLUICEGATE_MAX_BODY_BYTES. Raises BadRequest when its encoding is broken."""
    try:
        return await request.read()
    except web.RequestPayloadError:
        raise BadRequest("the body cannot be read: its length or its encoding is not what was said") from None


async def form(request: web.Request, kind: type[T]) -> T:
    """The fields of a page's form as a `kind`; see `form_fields`. Raises Invalid too."""
    return convert_text({name: values[-1] for name, values in (await form_fields(request)).items()}, kind)


async def form_fields(request: web.Request) -> dict[str, list[str]]:
    """What a page's form has in its fields, once its `csrf` was found to be the caller's (70-18).

    Raises UnsupportedMediaType, Forbidden (csrf_failed).
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("send the form as application/x-www-form-urlencoded")
    fields: dict[str, list[str]] = {}
    text = (await content(request)).decode("utf-8", "replace")
    try:
        for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS):
            fields.setdefault(name, []).append(value)
    except ValueError:
        raise BadRequest(f"the form has more than {MAX_FIELDS:,} fields") from None
    (csrf,) = fields.pop("csrf", [""])[-1:]
    who = request.get(IDENTITY)
    if who is not None and not request.app[IDENTITIES].sessions.proved(who, csrf):
        raise Forbidden("the form is not one of yours: load the page again", code="csrf_failed")
    return fields


def query(request: web.Request, kind: type[T]) -> T:
    """The query parameters as a `kind`. Raises Invalid; a parameter given twice is refused too."""
    require_declared(request, "query", kind)
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


def require_declared(request: web.Request, part: Literal["body", "query", "upload"], kind: type) -> None:
    """What a handler decodes is what its endpoint declares: the API's description is made from that."""
    endpoint = request.app[ENDPOINTS].of(request)
    if endpoint is not None and getattr(endpoint, part) is not kind:
        raise TypeError(f"{endpoint.method} {endpoint.path} does not declare {kind.__name__} as its {part}")
