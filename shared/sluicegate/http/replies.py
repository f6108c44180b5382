"""Every reply is JSON; every refusal is a problem document (RFC 9457) with a stable code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from sluicegate.errors import SluicegateError

RETRY_AFTER_SECONDS: Final = 1
_JSON: Final = {"Content-Type": "application/json"}
_encode = msgspec.json.Encoder().encode


def reply(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=_encode(value), status=status, headers=_JSON if headers is None else {**_JSON, **headers}
    )


def problem(error: SluicegateError, headers: Mapping[str, str] | None = None) -> web.Response:
    """429 and 503 say when to come back."""
    sent = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **(headers or {})}
    if error.status in (429, 503):
        sent["Retry-After"] = str(error.extra.get("retryAfterSeconds", RETRY_AFTER_SECONDS))
    return web.Response(body=_encode(error.problem()), status=error.status, headers=sent)
