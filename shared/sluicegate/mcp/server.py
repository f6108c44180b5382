"""What an MCP client sees: the deployment's tools, results as JSON, problems as errors that can be read."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import msgspec
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from sluicegate.errors import ServerUnreachable, SluicegateError, Unauthenticated
from sluicegate.log import get
from sluicegate.mcp.upstream import Upstream
from sluicegate.operations.tool_schema import ListedTool, listing
from sluicegate.operations.tools import BY_NAME, TOOLS

log = get("sluicegate.mcp")

INSTRUCTIONS: Final = """\
Sluicegate is a job queue for long-running agent tasks.
To have work done: queue.enqueue, then watch with queue.events or queue.get until the job's status is
succeeded, failed, cancelled or dead_letter; queue.cancel ends what nobody needs any more.
To do work yourself, as a worker: queue.claim, then queue.heartbeat within every lease, and queue.complete or
queue.fail at the end. Times are UTC."""

Context = ServerRequestContext[Any, Any]


def build(upstream: Upstream) -> Server[Any]:
    """The server; `upstream` must be open while it is served."""

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_shown(each) for each in await _tools(upstream)])

    async def call_tool(_: Context, call: CallToolRequestParams) -> CallToolResult:
        try:
            result = await upstream.call(call.name, call.arguments or {})
        except SluicegateError as error:
            log.warning("tool_refused", tool=call.name, code=error.code, detail=error.detail)
            return _result(error.problem(), sentence(error), is_error=True)
        return _result(result, msgspec.json.encode(result).decode())

    return Server(
        "sluicegate",
        version=version("sluicegate"),
        title="Sluicegate",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # No argument is mirrored in a header; unless told so, the package lists before each call.
        get_tool_input_schema=lambda _: None,
    )


def sentence(error: SluicegateError) -> str:
    """What is wrong, each wrong argument, and what to do about it, for who reads and not parses."""
    fields = error.extra.get("errors") or []
    lines = [f"{error.code}: {error.detail}"]
    if any(each["message"] not in error.detail for each in fields):
        lines += [f"- {each['path'] or 'arguments'}: {each['message']}" for each in fields]
    if isinstance(error, ServerUnreachable):
        lines.append("Start it with `sluicegate dev`, or set SLUICEGATE_URL to where it is; then call again.")
    if isinstance(error, Unauthenticated):
        lines.append("The credential is SLUICEGATE_TOKEN in the environment of `sluicegate mcp`.")
    return "\n".join(lines)


async def _tools(upstream: Upstream) -> list[ListedTool]:
    """The deployment's; while it does not answer, those of this version.

    Many clients list once, when they start: without any tool there would be no call to tell what is wrong.
    """
    try:
        return await upstream.tools()
    except SluicegateError as error:
        log.warning("tools_not_listed", code=error.code, detail=error.detail)
        return [listing(tool) for tool in TOOLS]


def _shown(listed: ListedTool) -> Tool:
    """With what a client may tell its user about a tool that this version knows."""
    known = BY_NAME.get(listed.name)
    annotations = None
    if known is not None:
        annotations = ToolAnnotations(
            read_only_hint=known.reads,
            destructive_hint=known.destroys,
            idempotent_hint=known.reads or known.repeatable,
        )
    return Tool(
        name=listed.name,
        description=listed.description,
        input_schema=listed.input_schema,
        annotations=annotations,
    )


def _result(value: dict[str, Any], text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=value, is_error=is_error)
