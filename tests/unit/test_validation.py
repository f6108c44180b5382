"""Bytes and text become structs, or an error that names each wrong field (70-3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from sluicegate.errors import BadRequest, Invalid
from sluicegate.model import NewJob
from sluicegate.operations.calls import JobsQuery
from sluicegate.validation import convert, convert_text, decode


class Query(Struct, rename="camel", forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    created_after: str | None = None


def paths(error: Invalid) -> list[str]:
    return sorted(each["path"] for each in error.extra["errors"])


def test_a_whole_body_becomes_a_struct() -> None:
    job = decode(b'{"type":"echo","payload":{"n":1},"maxAttempts":5}', NewJob)
    assert (job.type, job.payload, job.max_attempts) == ("echo", {"n": 1}, 5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe",
        b'{"type":"\xff"}',
        b'{"type":"echo"} trailing',
        b'{"type":1,"payload":',
        b'{"type":"\\ud800"}',
        b'{"payload":' + b'{"a":' * 100_000,
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    """Also where a wrong field stands in front of the fault."""
    with pytest.raises(BadRequest) as caught:
        decode(body, NewJob)
    assert caught.value.code == "bad_request"


class Choice(Struct):
    mode: Literal["drain", "quiesce"] | None = None
    colour: Annotated[Literal["red", "green"], Meta(description="of the lamp")] = "red"


@pytest.mark.parametrize(
    "refused",
    [
        lambda: decode(b'{"mode":"sleep","colour":"blue"}', Choice),
        lambda: convert_text({"mode": "sleep", "colour": "blue"}, Choice),
    ],
    ids=["body", "text"],
)
def test_a_choice_says_what_there_is_to_choose(refused: Callable[[], Choice]) -> None:
    with pytest.raises(Invalid) as caught:
        refused()
    assert {each["path"]: each["message"].partition(": ")[2] for each in caught.value.extra["errors"]} == {
        "mode": "it is one of drain, quiesce", "colour": "it is one of red, green",
    }  # fmt: skip


def test_every_wrong_field_is_named() -> None:
    body = b'{"type":"Echo","priority":1001,"prio":1,"requiredCapabilities":["a",""],"maxAttempts":"3"}'
    with pytest.raises(Invalid) as caught:
        decode(body, NewJob)
    assert paths(caught.value) == ["maxAttempts", "prio", "priority", "requiredCapabilities[1]", "type"]
    assert all(path in caught.value.detail for path in paths(caught.value))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", ["type"]),
        (b"[]", [""]),
        (b"null", [""]),
        (b'"text"', [""]),
        (b'{"type":"echo","payload":[]}', ["payload"]),
        (b'{"type":"echo","payload":{"n":1e999}}', ["payload[...]"]),
        (b'{"type":"echo\\n"}', ["type"]),
        (b'{"type":"echo","affinityKey":"a\\n"}', ["affinityKey"]),
        (b'{"type":"echo","maxAttempts":true}', ["maxAttempts"]),
    ],
)
def test_the_path_is_that_of_the_document(body: bytes, expected: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        decode(body, NewJob)
    assert paths(caught.value) == expected


def test_a_decoded_value_is_judged_the_same() -> None:
    value: Any = {"type": "echo", "payload": 1}
    with pytest.raises(Invalid) as caught:
        convert(value, NewJob)
    assert paths(caught.value) == ["payload"]


def test_parameters_are_read_from_text() -> None:
    assert convert_text({"limit": "7", "createdAfter": "null"}, Query) == Query(7, "null")


def test_null_is_a_name_like_any_other() -> None:
    """`?type=null` listed the jobs of every type, and `?status=null` those of every state."""
    assert convert_text({"type": "null"}, JobsQuery) == JobsQuery(type="null")
    with pytest.raises(Invalid) as caught:
        convert_text({"status": "Null"}, JobsQuery)
    assert paths(caught.value) == ["status"]


@pytest.mark.parametrize(
    ("values", "path"),
    [({"limit": "0"}, "limit"), ({"limit": "x"}, "limit"), ({"limt": "1"}, "limt"), ({"limit": ""}, "limit")],
)
def test_a_wrong_parameter_is_named(values: dict[str, str], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        convert_text(values, Query)
    assert paths(caught.value) == [path]


def test_every_wrong_parameter_is_named() -> None:
    """00-5"""
    with pytest.raises(Invalid) as caught:
        convert_text({"limit": "0", "limt": "1", "createdAfter": "x"}, Query)
    assert paths(caught.value) == ["limit", "limt"]
