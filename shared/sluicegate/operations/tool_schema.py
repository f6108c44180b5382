"""A tool's arguments as a JSON schema that any MCP client can read: whole, with a sentence on each field."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from sluicegate.operations.tools import Tool

NOT_BEFORE_A_LINE_FEED: Final = r"(?!\n)"
"""Behind the `$` of a pattern for Python's sake; the `$` of JSON schema means the very end by itself."""


class ListedTool(Struct, rename="camel"):
    """A tool as MCP has it. input_schema: the JSON schema of its arguments."""

    name: str
    description: str
    input_schema: dict[str, Any]


class ToolsAnswer(Struct):
    tools: list[ListedTool]


class ToolAnswer(Struct):
    """result: the JSON of the REST call that the tool stands for."""

    result: Any


@cache
def listing(tool: Tool) -> ListedTool:
    """The tool's entry in `GET /mcp/tools` (70-54)."""
    return ListedTool(tool.name, tool.description, input_schema(tool))


def input_schema(tool: Tool) -> dict[str, Any]:
    """Without references, and simpler than what is accepted: an argument left out need not be null."""
    schema = msgspec.json.schema(tool.arguments)
    whole = _plain(schema, schema.get("$defs", {}))
    properties = whole["properties"]
    if tool.about_a_job:
        properties = {"jobId": properties.pop("jobId"), **properties}
    required = [name for name in properties if name in whole.get("required", ())]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _plain(schema: Any, definitions: dict[str, Any]) -> Any:
    """References replaced by what they mean, `X or null` by X; titles and null defaults left out."""
    if isinstance(schema, list):
        return [_plain(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        meant = definitions[schema["$ref"].rpartition("/")[2]]
        return _plain(
            {**meant, **{name: value for name, value in schema.items() if name != "$ref"}}, definitions
        )
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        outer = {name: value for name, value in schema.items() if name != "anyOf"}
        return _plain({**choices[0], **outer}, definitions)
    plain: dict[str, Any] = {}
    for name, value in schema.items():
        if name in ("$defs", "title") or (name == "default" and value is None):
            continue
        if name == "properties":
            plain[name] = {field: _plain(each, definitions) for field, each in value.items()}
        elif name == "pattern":
            plain[name] = value.removesuffix(NOT_BEFORE_A_LINE_FEED)
        else:
            plain[name] = _plain(value, definitions)
    if "enum" in plain:
        plain.setdefault("type", "string")  # some clients do not read an enum without it
    return plain
