"""Connections to the store: how they are made, and how the calls of one process share them.

redis-py's own pool raises when it is full and its retries can run a script twice: hence this small one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sluicegate.errors import ConfigurationError, StoreUnavailable
from sluicegate.settings import PREFIX, Settings, read_secret

KEPT_IDLE: Final = 2
"""Connections that stay open though nobody needs them just now."""

Connect = Callable[[], AbstractConnection]


def connector(settings: Settings) -> Connect:
    """Makes connections for these settings: RESP2, text, no retries. Waits are bounded by who uses them."""
    try:
        scheme = urlsplit(settings.redis_url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("redis", "rediss", "unix"):
        raise ConfigurationError(
            f"SLUICEGATE_REDIS_URL={shown_url(settings.redis_url)!r} is not allowed: "
            "use redis://, rediss:// or unix://"
        )
    pool = ConnectionPool.from_url(
        settings.redis_url,
        **_password(settings),
        **_tls(settings, scheme),
        protocol=2,
        decode_responses=True,
        encoding_errors="replace",
        socket_timeout=None,
        socket_connect_timeout=settings.redis_timeout_ms / 1000,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        driver_info=None,
    )
    return pool.make_connection


def _password(settings: Settings) -> dict[str, Any]:
    if settings.redis_password_file is None:
        return {}
    return {"password": read_secret("SLUICEGATE_REDIS_PASSWORD_FILE", settings.redis_password_file)}


def _tls(settings: Settings, scheme: str) -> dict[str, Any]:
    """What redis-py is told of certificates. Raises ConfigurationError, naming the file."""
    files = {
        "ssl_ca_certs": ("REDIS_CA_FILE", settings.redis_ca_file),
        "ssl_certfile": ("REDIS_CERT_FILE", settings.redis_cert_file),
        "ssl_keyfile": ("REDIS_KEY_FILE", settings.redis_key_file),
    }
    given = {option: (f"{PREFIX}{name}", path) for option, (name, path) in files.items() if path is not None}
    if scheme != "rediss":
        for variable, path in given.values():
            raise ConfigurationError(f"{variable}={str(path)!r} needs a store at rediss://")
        return {}
    if (settings.redis_cert_file is None) != (settings.redis_key_file is None):
        raise ConfigurationError("SLUICEGATE_REDIS_CERT_FILE and SLUICEGATE_REDIS_KEY_FILE need each other")
    for variable, path in given.values():
        read_secret(variable, path)
    if settings.redis_ca_file is not None or settings.redis_cert_file is not None:
        _try_certificates(settings)
    return {
        **{option: str(path) for option, (_, path) in given.items()},
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": settings.redis_check_hostname,
    }


def _try_certificates(settings: Settings) -> None:
    """Load them once: else every connection would fail, and be tried again as if the store were away."""
    context = ssl.create_default_context()
    try:
        if settings.redis_ca_file is not None:
            context.load_verify_locations(settings.redis_ca_file)
        if settings.redis_cert_file is not None:
            context.load_cert_chain(settings.redis_cert_file, settings.redis_key_file)
    except ssl.SSLError as error:
        raise ConfigurationError(
            "SLUICEGATE_REDIS_CA_FILE, SLUICEGATE_REDIS_CERT_FILE or SLUICEGATE_REDIS_KEY_FILE holds no "
            f"certificate or key that can be used: {error}"
        ) from error


def refusal(error: BaseException) -> str | None:
    """Why a connection could not be made that will not be made by trying again; None for what may pass."""
    if isinstance(error, redis_errors.AuthenticationError):
        return f"it does not know this user or its password ({error})"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message} (SLUICEGATE_REDIS_CA_FILE)"
        cause = cause.__cause__ or cause.__context__
    return None


def shown_url(url: str) -> str:
    """The address without user and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


async def disconnect(connection: AbstractConnection) -> None:
    transport = _transport(connection)
    with contextlib.suppress(Exception):
        await connection.disconnect(nowait=True)
    _abort(transport)


class Connections:
    """Gives each call a connection of its own, at most `most` at a time; the others wait their turn."""

    def __init__(self, connect: Connect, most: int) -> None:
        self._connect = connect
        self._most = most
        self._idle: list[AbstractConnection] = []
        self._never_used = 0
        self._look: asyncio.TimerHandle | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._open = 0
        self._closed = False
        self._closing: set[asyncio.Future[None]] = set()

    async def take(self) -> AbstractConnection:
        """A connection for one call, open or not yet. Hand it back by `give` or `drop`."""
        while True:
            if self._closed:
                raise StoreUnavailable("the store connection is closed")
            if self._idle:
                connection = self._idle.pop()
                self._never_used = min(self._never_used, len(self._idle))
                return connection
            if self._open < self._most:
                self._open += 1
                return self._connect()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise

    def give(self, connection: AbstractConnection) -> None:
        """Back after a call that was answered."""
        if self._closed:
            self._open -= 1
            _close(connection)
        else:
            self._idle.append(connection)
            self._wake()
            if self._look is None and len(self._idle) > KEPT_IDLE:
                self._look_after_burst()

    async def drop(self, connection: AbstractConnection) -> None:
        """Away with a connection on which an answer may still be under way."""
        self._open -= 1
        self._wake()
        await disconnect(connection)

    def abort(self, connection: AbstractConnection) -> None:
        """The time of a call is up: whoever reads on this connection finds it lost."""
        closing = asyncio.ensure_future(disconnect(connection))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close idle connections; those in use are closed as they come back."""
        self._closed = True
        if self._look is not None:
            self._look.cancel()
            self._look = None
        idle, self._idle = self._idle, []
        for connection in idle:
            await disconnect(connection)
            self._open -= 1

    def _look_after_burst(self) -> None:
        """Look in a second how many connections nobody needed meanwhile."""
        self._never_used = len(self._idle)
        self._look = asyncio.get_running_loop().call_later(1.0, self._close_unused)

    def _close_unused(self) -> None:
        """A burst of calls opens connections that would then stay open for ever: close what was not used."""
        self._look = None
        unused = min(self._never_used, len(self._idle)) - KEPT_IDLE
        for _ in range(unused):
            self._open -= 1
            _close(self._idle.pop(0))
        if len(self._idle) > KEPT_IDLE:
            self._look_after_burst()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def _close(connection: AbstractConnection) -> None:
    transport = _transport(connection)
    connection._close()  # type: ignore[no-untyped-call]
    _abort(transport)


def _transport(connection: AbstractConnection) -> asyncio.WriteTransport | None:
    """Of a TLS connection that is open."""
    writer = connection._writer if isinstance(connection, SSLConnection) else None
    return None if writer is None else writer.transport


def _abort(transport: asyncio.WriteTransport | None) -> None:
    """Closing by TLS waits for the other side's farewell, and a server that is gone says none."""
    if transport is not None:
        transport.abort()
