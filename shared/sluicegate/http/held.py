"""The body of a call under a lease, from workers of today and, where they are let in, of yesterday."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web
from msgspec import Struct

from sluicegate.http.keys import SETTINGS
from sluicegate.http.requests import body
from sluicegate.operations import leases

T = TypeVar("T", bound=Struct)


async def held_body(request: web.Request, kind: type[T]) -> T:
    """As `body`; with SLUICEGATE_ALLOW_TOKENLESS the lease tokens may be left out."""
    tokenless = request.app[SETTINGS].allow_tokenless
    return await body(request, kind, complete=leases.with_empty_tokens if tokenless else None)
