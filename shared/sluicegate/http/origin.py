"""A page of another site cannot make a browser change anything: not while auth is disabled (70-18), and not
with the session that the browser holds.

A browser puts `Origin` on every changing request and on every WebSocket. The own origin is the address
that was asked for (`Host`); a name that is not the loopback one is not ours, or another site could point
its own name at 127.0.0.1.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from sluicegate.errors import Forbidden
from sluicegate.settings import ServerSettings

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def require_own_origin(request: web.Request, settings: ServerSettings) -> None:
    """Forbidden (csrf_failed) when an Origin is given that is not this service's own.

    A request with a credential of its own may come from anywhere: a browser adds none by itself.
    """
    origin = request.headers.get("Origin")
    open_to_all = settings.auth == "disabled"
    if origin is None or (not open_to_all and "Authorization" in request.headers):
        return
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as `http://[`: no page has it
        own, host = False, ""
    else:
        host = parts.hostname or ""
        own = parts.scheme in ("http", "https") and (
            parts.netloc.lower() == request.headers.get("Host", "").lower()
        )
    if not own or (open_to_all and not (settings.allow_insecure or is_loopback(host))):
        raise Forbidden("the request comes from a page of another origin", code="csrf_failed")


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1, localhost and names under it (RFC 6761)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
