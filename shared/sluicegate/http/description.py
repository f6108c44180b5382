"""What a service says about itself: /openapi.json for programs, /docs for people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
from aiohttp import web

from sluicegate.http import docs_page, openapi
from sluicegate.http.endpoints import Endpoint
from sluicegate.http.replies import reply


class Description:
    """The document of an app's endpoints, as JSON and as a page."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints

    @cached_property
    def document(self) -> dict[str, Any]:
        return openapi.document(self._endpoints)

    @cached_property
    def json(self) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(self.document))

    @cached_property
    def page(self) -> str:
        return docs_page.render(self.document)


DESCRIPTION: Final[web.AppKey[Description]] = web.AppKey("description", Description)


async def _openapi(request: web.Request) -> web.Response:
    return reply(request.app[DESCRIPTION].json)


async def _docs(request: web.Request) -> web.Response:
    return docs(request.app[DESCRIPTION].page)


def docs(page: str) -> web.Response:
    """The rendered page: it needs nothing from anywhere, and no browser would let it."""
    return web.Response(text=page, content_type="text/html", headers=docs_page.headers())


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/openapi.json", handler=_openapi, may="open", tag="health",
        summary="This description (OpenAPI 3.1)", replies={200: dict[str, Any]},
    ),
    Endpoint(
        method="GET", path="/docs", handler=_docs, may="open", tag="health",
        summary="This description as a page", replies={200: None}, media="text/html",
    ),
)  # fmt: skip
