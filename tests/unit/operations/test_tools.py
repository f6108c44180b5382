"""The catalogue of tools: tied to REST, readable by any MCP client, refusing each wrong argument by name."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp.shared.tool_name_validation import validate_tool_name

from services.control.routes import ROUTES as CONTROL
from services.queue_api.handlers.mcp import SERVED
from services.queue_api.routes import ROUTES as QUEUE_API
from sluicegate.errors import Invalid, NotFound
from sluicegate.http import Endpoint
from sluicegate.operations.calls import NoFields
from sluicegate.operations.tool_schema import input_schema
from sluicegate.operations.tools import BY_NAME, TOOLS, Tool, named

ENDPOINTS = {f"{each.method} {each.path}": each for each in (*QUEUE_API, *CONTROL)}
SPECIFIED = {
    "queue.enqueue", "queue.claim", "queue.heartbeat", "queue.complete", "queue.fail", "queue.cancel",
    "queue.get", "queue.list", "queue.upload_artifact", "queue.events", "queue.pause_status",
}  # fmt: skip
JOB = "01890000-0000-7000-8000-000000000000"
HELD = {"jobId": JOB, "workerId": "w", "leaseToken": "1"}

each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def test_there_are_the_tools_of_the_specification() -> None:
    """60-2"""
    assert set(BY_NAME) == SPECIFIED
    assert {*SERVED, "queue.claim"} == SPECIFIED


@each_tool
def test_a_tool_is_its_rest_call(tool: Tool) -> None:
    """60-2: the same arguments, for the same callers."""
    endpoint: Endpoint = ENDPOINTS[tool.rest]
    assert (tool.may, tool.also, tool.unlimited) == (endpoint.may, endpoint.also, endpoint.unlimited)
    assert tool.about_a_job == ("{id}" in endpoint.path)
    if endpoint.upload is not None:
        assert issubclass(tool.takes, endpoint.upload)
    else:
        assert tool.takes is (endpoint.body or endpoint.query or NoFields)
    assert tool.reads == (endpoint.method == "GET")


@each_tool
def test_any_client_can_read_the_schema(tool: Tool) -> None:
    """60-2: whole in itself, with a sentence on each argument; the name is one that MCP allows."""
    assert validate_tool_name(tool.name).warnings == []
    schema = input_schema(tool)
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert not schema["additionalProperties"]
    assert all(each["description"] and each["type"] for each in schema["properties"].values())
    assert not words(schema) & {"$ref", "$defs", "anyOf"}
    assert ("jobId" in schema.get("required", ())) == tool.about_a_job


@each_tool
def test_a_wrong_argument_is_refused_by_name(tool: Tool) -> None:
    """00-5: 422 invalid_tool_arguments names each field; what the schema refuses is refused."""
    required = set(input_schema(tool).get("required", ()))
    with pytest.raises(Invalid) as caught:
        tool.decode({"mistake": 1})
    assert caught.value.code == "invalid_tool_arguments"
    assert {each["path"] for each in caught.value.extra["errors"]} == {"mistake", *required}
    with pytest.raises(Invalid) as caught:
        tool.decode(["no object"])
    assert caught.value.code == "invalid_tool_arguments"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("queue.enqueue", {"type": "Bad Type"}),
        ("queue.enqueue", {"type": "echo", "priority": 1001}),
        ("queue.enqueue", {"type": "echo\n"}),
        ("queue.get", {"jobId": 7}),
        ("queue.list", {"status": "done"}),
        ("queue.events", {"jobId": JOB, "limit": 501}),
        ("queue.claim", {"workerId": "", "leaseSeconds": 30}),
        ("queue.claim", {"workerId": "w", "leaseSeconds": 0.5}),
        ("queue.complete", {"jobId": JOB, "workerId": "w", "leaseToken": 1}),
        ("queue.upload_artifact", {**HELD, "name": "a", "contentBase64": 1}),
    ],
)
def test_the_schema_and_the_tool_agree(name: str, arguments: dict[str, Any]) -> None:
    schema = Draft202012Validator(input_schema(BY_NAME[name]))
    assert not schema.is_valid(arguments) or arguments["type"].endswith("\n")  # Python's `$`, see tool_schema
    with pytest.raises(Invalid):
        BY_NAME[name].decode(arguments)


def test_an_unknown_tool_is_not_found() -> None:
    """00-5"""
    with pytest.raises(NotFound) as caught:
        named("queue.destroy")
    assert caught.value.code == "tool_not_found"


def words(schema: Any) -> set[str]:
    """Every key of a document."""
    if isinstance(schema, list):
        return {word for each in schema for word in words(each)}
    if isinstance(schema, dict):
        return set(schema) | {word for each in schema.values() for word in words(each)}
    return set()
