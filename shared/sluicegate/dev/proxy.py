"""Passes a request on to a service and its answer back, both as streams: nothing is held until it is whole.

An upstream that goes away before anything was sent is 503 `service_unavailable` (repeat at will), one that
goes away before its answer is 503 `outcome_unknown`; one that breaks off in mid-answer breaks the client's
connection too, so that half an answer is never taken for a whole one. A client that goes away ends the
upstream request at once: a long poll behind it stops waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from sluicegate.errors import BadRequest, OutcomeUnknown, StoreError

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
NOT_SENT_ON: Final = HOP_BY_HOP | {"expect", "forwarded", "x-forwarded-for", "x-forwarded-host"} | {
    "x-forwarded-proto"
}  # fmt: skip
CONNECT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 5.0


class ServiceAwayError(StoreError):
    """The service is not running just now; nothing was sent."""

    default_code = "service_unavailable"


class Proxy:
    """One pool of connections to the services. Use as an async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Proxy:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the proxy is not open")
        return self._session

    async def forward(self, request: web.Request, upstream: str | None) -> web.StreamResponse:
        """The upstream's answer to this request; None means that the service is not running."""
        if not request.raw_path.startswith("/"):
            raise BadRequest("ask for a path, not for an address")
        if upstream is None:
            raise ServiceAwayError("the service is being restarted")
        url = URL(upstream + request.raw_path, encoded=True)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._forward_websocket(request, url)
        try:
            async with self.session.request(
                request.method,
                url,
                headers=_request_headers(request),
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ) as answer:
                return await _stream_back(request, answer)
        except aiohttp.ClientConnectorError as error:
            raise ServiceAwayError("the service is being restarted") from error
        except aiohttp.ClientError as error:
            raise OutcomeUnknown("the service went away before it answered") from error

    async def _forward_websocket(self, request: web.Request, url: URL) -> web.StreamResponse:
        protocols = [
            each.strip()
            for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
            if each.strip()
        ]
        headers = CIMultiDict(
            (name, value)
            for name, value in _request_headers(request).items()
            if not name.lower().startswith("sec-websocket-")
        )
        try:
            upstream = await self.session.ws_connect(
                url, headers=headers, protocols=protocols, max_msg_size=0, autoclose=False, autoping=False
            )
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status, text=error.message)
        except aiohttp.ClientError as error:
            raise ServiceAwayError("the service is being restarted") from error
        async with upstream:
            chosen = [upstream.protocol] if upstream.protocol else []
            client = web.WebSocketResponse(
                protocols=chosen, max_msg_size=0, autoclose=False, autoping=False, timeout=CLOSE_SECONDS
            )
            await client.prepare(request)
            await _relay(client, upstream)
            return client


async def _stream_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(
        status=answer.status, reason=answer.reason, headers=_end_to_end(answer.headers, HOP_BY_HOP)
    )
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except aiohttp.ClientError:
        if request.transport is not None:
            request.transport.abort()
    return response


async def _relay(client: web.WebSocketResponse, upstream: aiohttp.ClientWebSocketResponse) -> None:
    """Both ways until one side closes; then the other is closed with the same code."""
    there = asyncio.create_task(_pump(client, upstream), name="websocket to the service")
    back = asyncio.create_task(_pump(upstream, client), name="websocket to the client")
    try:
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (there, back):
            each.cancel()
        await asyncio.gather(there, back, return_exceptions=True)


async def _pump(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    kinds = aiohttp.WSMsgType
    while True:
        message = await source.receive()
        with contextlib.suppress(ConnectionResetError):
            match message.type:
                case kinds.TEXT:
                    await target.send_str(message.data)
                case kinds.BINARY:
                    await target.send_bytes(message.data)
                case kinds.PING:
                    await target.ping(message.data)
                case kinds.PONG:
                    await target.pong(message.data)
                case kinds.CLOSE:
                    await target.close(code=message.data or 1000, message=(message.extra or "").encode())
                    return
                case _:
                    await target.close(code=1001)
                    return


def _request_headers(request: web.Request) -> CIMultiDict[str]:
    """End-to-end headers, the client's Host among them: a service compares it with the Origin."""
    headers = _end_to_end(request.headers, NOT_SENT_ON)
    if headers.popall("Content-Encoding", None):  # what comes in has been unpacked already
        headers.popall("Content-Length", None)
    headers["X-Forwarded-For"] = request.remote or "unknown"
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = request.scheme
    return headers


def _end_to_end(headers: CIMultiDictProxy[str], dropped: frozenset[str]) -> CIMultiDict[str]:
    named = {each.strip().lower() for value in headers.getall("Connection", ()) for each in value.split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in dropped and name.lower() not in named
    )
