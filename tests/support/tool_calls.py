"""A tool's arguments as the REST call that the tool stands for (70-20)."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import aiohttp

from sluicegate.operations.tools import BY_NAME


def as_rest(name: str, arguments: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Method, path and what else the request takes: `jobId` goes into the path, all else into the body."""
    method, _, path = BY_NAME[name].rest.partition(" ")
    rest = dict(arguments)
    if "{id}" in path:
        path = path.replace("{id}", rest.pop("jobId"))
    if method == "GET":
        return method, path, {"params": {key: str(value) for key, value in rest.items()}}
    if "contentBase64" in rest:
        form = aiohttp.FormData({name: str(value) for name, value in rest.items() if name != "contentBase64"})
        form.add_field("file", b64decode(rest["contentBase64"]), filename="file")
        return method, path, {"data": form}
    return method, path, {"json": rest}
