"""The dashboard's few static files, read once; their addresses change with their content."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.control.dashboard.rendering import STATIC, XTERM
from sluicegate.errors import NotFound

CONTENT_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"

FILES: Final = web.AppKey("files", dict[str, tuple[bytes, str]])


def files() -> dict[str, tuple[bytes, str]]:
    """Name -> content and its type."""
    return {
        path.name: (path.read_bytes(), CONTENT_TYPES[path.suffix])
        for path in (*sorted(STATIC.iterdir()), *(sorted(XTERM.iterdir()) if XTERM.exists() else ()))
        if path.suffix in CONTENT_TYPES
    }


async def static_file(request: web.Request) -> web.Response:
    found = request.app[FILES].get(request.match_info["name"])
    if found is None:
        raise NotFound("there is nothing at this address")
    content, content_type = found
    # A script that another one imports has no version in its address.
    cache = FOR_EVER if "v" in request.query else "no-cache"
    headers = {"Cache-Control": cache, "X-Content-Type-Options": "nosniff"}
    return web.Response(body=content, content_type=content_type, charset="utf-8", headers=headers)
