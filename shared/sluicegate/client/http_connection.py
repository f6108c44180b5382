"""Requests to one deployment: repeated only when that is safe, and streams that resume where they broke."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
from yarl import URL

from sluicegate import tracing
from sluicegate.client.patience import Patience
from sluicegate.client.sse import Message, Parser
from sluicegate.errors import (
    ConfigurationError,
    OutcomeUnknown,
    ServerUnreachable,
    SluicegateError,
    StoreUnavailable,
    from_problem,
)

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0  # four missed keepalives (70-14): the other end is gone though the socket is open
STEADY_SECONDS = 5.0  # a stream that lasted this long was a working one, even if nothing was said on it
GATEWAY_TROUBLE = frozenset({502, 503, 504})


class HttpConnection:
    """One session to one address; through the proxy that the environment names, but never to loopback.

    retry_seconds: how long a repeatable call is tried again while the server does not answer.
    reconnect_seconds: how long a stream that once worked is tried again. worker: the token is a worker's.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout_seconds: float,
        retry_seconds: float,
        reconnect_seconds: float,
        worker: bool = False,
    ) -> None:
        if not _is_address(url):
            raise ConfigurationError(
                f"{url!r} is not the address of a server; write it like http://127.0.0.1:8080"
            )
        self.address = url.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if token := (token or "").strip():  # files end in a line feed
            if not (token.isascii() and token.isprintable()):
                raise ConfigurationError("the token (SLUICEGATE_TOKEN) holds characters that no token has")
            self._headers |= {"X-Worker-Token": token} if worker else {"Authorization": f"Bearer {token}"}
        self._timeout_seconds = timeout_seconds
        self.retry_seconds = retry_seconds
        self._reconnect_seconds = reconnect_seconds
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds, sock_connect=CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=timeout, proxy=_proxy(self.address)
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        repeatable: bool = True,
        retry_seconds: float | None = None,
        timeout_seconds: float | None = None,
    ) -> bytes:
        """The body of the reply. Raises the error that the reply's problem document stands for.

        repeatable: repeating the request has no second effect. Only then is it sent again after it may
        have arrived; otherwise its loss is OutcomeUnknown. The two times are the connection's unless given.
        """
        patience = Patience(self.retry_seconds if retry_seconds is None else retry_seconds)
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        while True:
            try:
                return await self._once(method, path, body=body, params=params, timeout_seconds=timeout)
            except ServerUnreachable as error:  # nothing was sent
                await patience.wait(error)
            except (StoreUnavailable, OutcomeUnknown) as error:
                if not repeatable:
                    raise
                await patience.wait(error)

    async def stream(
        self, path: str, *, after: str | None, last_id: str | None = None
    ) -> AsyncGenerator[Message, None]:
        """The messages of an event stream up to and with `end`, through any number of broken connections.

        last_id: the last message of an earlier call, to go on behind. Each reconnect names the last id
        (`Last-Event-ID`), so nothing is missing and nothing comes twice.
        """
        patience = Patience(self.retry_seconds)
        while True:
            started = time.monotonic()
            broken: SluicegateError = ServerUnreachable(
                f"{self.address} ended the event stream in the middle"
            )
            try:
                async with aclosing(self._stream_once(path, after=after, last_id=last_id)) as messages:
                    async for message in messages:
                        if message is None:  # bytes arrived: this server works
                            patience = Patience(self._reconnect_seconds)
                            continue
                        last_id = message.id or last_id
                        yield message
                        if message.event == "end":
                            return
            except (StoreUnavailable, OutcomeUnknown) as error:
                broken = error
            if time.monotonic() - started > STEADY_SECONDS:
                patience = Patience(self._reconnect_seconds)
            await patience.wait(broken)

    @asynccontextmanager
    async def exchange(self, method: str, path: str, **request: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request with its successful reply, not repeated. Raises as `call`."""
        try:
            async with self._live.request(method, self._url(path), allow_redirects=False, **request) as reply:
                if reply.status >= 300:
                    raise self._refusal(reply, await reply.read())
                yield reply
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._lost(error) from error

    @asynccontextmanager
    async def websocket(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket, open inside the block. Raises as `call`."""
        try:
            socket = await self._live.ws_connect(self._url(path), heartbeat=SILENCE_SECONDS / 3)
        except aiohttp.WSServerHandshakeError as error:
            await self.call("GET", path, retry_seconds=0.0)  # a plain request is told why
            raise from_problem({"status": error.status, "detail": "no WebSocket was opened"}) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._lost(error) from error
        try:
            yield socket
        finally:
            await socket.close()

    async def _once(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None,
        params: Mapping[str, str] | None,
        timeout_seconds: float,
    ) -> bytes:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if (trace := tracing.current()) is not None:
            headers |= trace.headers
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS)
        async with self.exchange(
            method, path, data=body, params=params, headers=headers, timeout=timeout
        ) as reply:
            return await reply.read()

    async def _stream_once(
        self, path: str, *, after: str | None, last_id: str | None
    ) -> AsyncGenerator[Message | None, None]:
        headers = {"Accept": "text/event-stream"}
        params: dict[str, str] = {}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        elif after is not None:
            params["after"] = after
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        parser = Parser()
        try:
            async with self._live.get(
                self._url(path), params=params, headers=headers, timeout=timeout, allow_redirects=False
            ) as reply:
                if reply.status != 200:
                    raise self._refusal(reply, await reply.read())
                async for chunk in reply.content.iter_any():
                    yield None
                    for message in parser.feed(chunk):
                        yield message
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._lost(error) from error

    @property
    def _live(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError(
                "the client is not open: use it in `async with Client.from_url(...) as client`"
            )
        return self._session

    def _url(self, path: str) -> URL:
        return URL(self.address + path, encoded=True)

    def _lost(self, error: Exception) -> SluicegateError:
        """What a request without an answer means: never sent, or sent and unknown."""
        if isinstance(error, aiohttp.InvalidURL):
            return ConfigurationError(f"{self.address} is not the address of a server")
        if isinstance(error, aiohttp.ClientSSLError):
            return ConfigurationError(f"{self.address} has no certificate that can be trusted: {error}")
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            return ServerUnreachable(f"{self.address} cannot be reached: {_reason(error)}")
        return OutcomeUnknown(f"{self.address} did not answer: {str(error) or type(error).__name__}")

    def _refusal(self, reply: aiohttp.ClientResponse, content: bytes) -> SluicegateError:
        problem: Any = None
        if reply.content_type == "application/problem+json":
            try:
                problem = msgspec.json.decode(content)
            except msgspec.DecodeError:
                problem = None
        if isinstance(problem, dict):
            return from_problem(problem)
        if reply.status in GATEWAY_TROUBLE:  # a proxy speaks: the request may have gone through or not
            return OutcomeUnknown(f"{self.address} answered {reply.status} {reply.reason}")
        return SluicegateError(
            f"{self.address} answered {reply.status} {reply.reason} in another form than Sluicegate's:"
            " is it the address of a Sluicegate server?"
        )


def _proxy(address: str) -> str | None:
    """What HTTP_PROXY, HTTPS_PROXY and NO_PROXY say of an address; loopback needs none, whatever they say."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return None
    if host == "localhost" or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or port
        return False


def _reason(error: aiohttp.ClientConnectionError) -> str:
    """Why there is no connection, in the system's words: asyncio's repeat the address."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    number = getattr(error, "errno", None)
    return os.strerror(number) if number and number > 0 else str(error)
