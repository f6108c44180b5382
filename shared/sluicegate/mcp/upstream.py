"""The deployment behind an MCP server: which tools it has, and a call of one of them."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
import uuid_utils

from sluicegate.client.http_connection import HttpConnection
from sluicegate.errors import SluicegateError
from sluicegate.operations.tool_schema import ListedTool, ToolAnswer, ToolsAnswer
from sluicegate.operations.tools import BY_NAME, Tool

TIMEOUT_SECONDS: Final = 60.0
"""A call may wait for work up to 30 s (70-4); beyond twice that nobody answers any more."""
RETRY_SECONDS: Final = 2.0
"""A restart of the service is bridged; a service that is not there is reported soon."""

T = TypeVar("T")


class Upstream:
    """One deployment, inside `async with`. Both calls raise SluicegateError."""

    def __init__(self, url: str, token: str | None) -> None:
        self._connection = HttpConnection(
            url, token, timeout_seconds=TIMEOUT_SECONDS, retry_seconds=RETRY_SECONDS, reconnect_seconds=0
        )

    @property
    def address(self) -> str:
        return self._connection.address

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def tools(self) -> list[ListedTool]:
        return self._read(await self._connection.call("GET", "/mcp/tools"), ToolsAnswer).tools

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The result. If the caller is cancelled meanwhile, what was claimed for it goes back (Q-16)."""
        tool = BY_NAME.get(name)
        if tool is not None:
            arguments = safe_to_repeat(tool, arguments)
        body = msgspec.json.encode({"tool": name, "arguments": arguments})
        reply = await self._connection.call("POST", "/mcp/tools/call", body=body, repeatable=tool is not None)
        result = self._read(reply, ToolAnswer).result
        return result if isinstance(result, dict) else {"result": result}

    def _read(self, reply: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(reply, type=kind)
        except msgspec.DecodeError as error:
            raise SluicegateError(
                f"the answer of {self.address} is not understood: {error}; is it a Sluicegate server?"
            ) from error


def safe_to_repeat(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """With an id or a request id where the tool takes one and the caller gave none (Q-13, Q-16).

    With it every tool may be sent again when an answer is lost: all others are fenced or only read.
    """
    if tool.draws is None or any(arguments.get(name) is not None for name in (tool.draws, "idempotencyKey")):
        return arguments
    return {**arguments, tool.draws: str(uuid_utils.uuid7())}
