"""MCP over streamable HTTP: on loopback, unless names for other hosts were given on purpose.

Who reaches the port acts with this process's token. So requests are answered only when their `Host`, and
their `Origin` if a browser sends one, is one of ours: another site may point its own name at 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings

from sluicegate.errors import ConfigurationError
from sluicegate.http.origin import is_loopback
from sluicegate.log import get
from sluicegate.service import until_signalled

log = get("sluicegate.mcp")

PATH: Final = "/mcp"
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""Above the default limit of a deployment's JSON bodies, which is the one that decides."""
SHUTDOWN_SECONDS: Final = 2
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")


class _Uvicorn(uvicorn.Server):
    """Leaves signals to `until_signalled`: its own way ends the process by the signal, not with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(server: Server[Any], host: str, port: int, allowed_hosts: Sequence[str] = ()) -> None:
    """Listen until SIGTERM or SIGINT; port 0 takes a free one, which the log names.

    allowed_hosts: names under which clients on other machines reach this one; without any, only a loopback
    address may be listened on. Raises ConfigurationError.
    """
    with _listening(host, port, beyond_loopback=bool(allowed_hosts)) as listener:
        bound = listener.getsockname()[1]
        app = server.streamable_http_app(
            streamable_http_path=PATH,
            max_request_body_size=MAX_BODY_BYTES,
            transport_security=security(bound, allowed_hosts),
        )
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS
        )
        uvicorn_server = _Uvicorn(config)
        async with until_signalled() as stop:
            serving = asyncio.create_task(uvicorn_server.serve(sockets=[listener]), name="mcp over http")
            stopped = asyncio.create_task(stop.wait(), name="stop of mcp")
            log.info("mcp_listening", url=f"http://{_in_url(host)}:{bound}{PATH}")
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            uvicorn_server.should_exit = True
            await serving


def security(port: int, allowed_hosts: Sequence[str]) -> TransportSecuritySettings:
    """Our own names with our own port; the given names with any port, for what stands in front of us."""
    own = [f"{name}:{port}" for name in LOOPBACK_NAMES]
    others = [each for name in allowed_hosts for each in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=own + others,
        allowed_origins=[
            *(f"http://{each}" for each in own),
            *(f"{scheme}://{each}" for each in others for scheme in ("http", "https")),
        ],
    )


@contextmanager
def _listening(host: str, port: int, *, beyond_loopback: bool) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigurationError(f"--host {host!r} is not an address: {error.strerror}") from error
    if not is_loopback(str(address[0])) and not beyond_loopback:
        raise ConfigurationError(
            f"--host {host!r} is refused: whoever reaches it would act with this process's token; listen on"
            " 127.0.0.1, or name with --allow-host under which host name it is to be reached from elsewhere"
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()  # from here on clients are kept waiting and not refused
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another port (0: a free one)"
            ) from error
        yield listener
    finally:
        listener.close()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
