"""The endpoints of a service as a table: address, handler, who may call it, what goes in, what comes out.

The table is what the edge enforces, what aiohttp routes by and what `/openapi.json` is generated from, so
that there is no second list of any of the three.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from sluicegate.auth.identity import Access, Role

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Method = Literal["GET", "POST"]
NOTHING: Final[Mapping[int, Any]] = {}
WEBSOCKET: Final = "websocket"
"""In place of a media type, of an address that becomes a WebSocket."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """One method of one address.

    may: the least role of an operator, `worker` for a worker's own calls, `open` for no identity.
    also: other roles that are let in; what they may see or change is then the operation's to decide.
    body, query: what the handler decodes with `http.body` and `http.query`. optional_body: it may be absent.
    upload: the fields beside the `file` of a multipart form, read with `http.forms.UploadForm`.
    headers: what the handler reads of `openapi.HEADERS`.
    replies: status -> the type of its JSON; None where the reply is not JSON. media: what it is then.
    login: where a person is sent who has not said who they are; the login then leads to this address.
    unlimited: no rate limit refuses it.
    errors: the codes that this endpoint's own work can answer with; those of every endpoint are not repeated.
    """

    method: Method
    path: str
    handler: Handler
    may: Access
    also: tuple[Role, ...] = ()
    summary: str = ""
    tag: str = ""
    body: type[Struct] | None = None
    optional_body: bool = False
    form: type[Struct] | None = None
    upload: type[Struct] | None = None
    query: type[Struct] | None = None
    headers: tuple[str, ...] = ()
    replies: Mapping[int, Any] = NOTHING
    media: str = "application/json"
    login: str | None = None
    unlimited: bool = False
    errors: tuple[str, ...] = ()

    @property
    def documented(self) -> bool:
        """Pages and their streams are for people and are no part of the API."""
        return bool(self.tag)

    def routes(self) -> list[web.RouteDef]:
        """A stream and a WebSocket have no HEAD: they would be opened for nothing."""
        if self.method == "GET" and self.media not in ("text/event-stream", WEBSOCKET):
            return [web.get(self.path, self.handler)]
        if self.method == "GET":
            return [web.get(self.path, self.handler, allow_head=False)]
        return [web.post(self.path, self.handler)]


class Endpoints:
    """The table of one app, by handler: each handler serves one endpoint."""

    def __init__(self, table: Sequence[Endpoint]) -> None:
        self.table = tuple(table)
        self._by_handler = {endpoint.handler: endpoint for endpoint in table}

    def __iter__(self) -> Any:
        return iter(self.table)

    def of(self, request: web.Request) -> Endpoint | None:
        """The endpoint that serves a request; None where there is nothing at its address."""
        return self._by_handler.get(request.match_info.handler)


def parameters(kind: type[Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The query parameters of a struct."""
    return msgspec.structs.fields(kind)
