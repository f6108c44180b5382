"""The API's description (OpenAPI 3.1), made from the endpoints and from the structs that validate.

What is described is what is enforced: paths, roles, bodies, parameters and codes come from the same table
that the edge reads. `merged` makes one document of several services'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Struct

import sluicegate
from sluicegate.http import examples, problems
from sluicegate.http.endpoints import Endpoint
from sluicegate.operations.answers import Problem
from sluicegate.operations.tool_schema import NOT_BEFORE_A_LINE_FEED

REFERENCE: Final = "#/components/schemas/{name}"
PROBLEM: Final = "application/problem+json"
TAGS: Final[dict[str, str]] = {
    "jobs": "Enqueue, look at, cancel and repeat jobs.",
    "workers": "What workers call: claim, heartbeat, the end of an attempt.",
    "events": "The history of a job, by page and as a stream.",
    "artifacts": "Files that a job leaves behind.",
    "dead letters": "Jobs whose attempts are used up.",
    "tokens": "Credentials of workers.",
    "agents": "The queue's calls as tools, for MCP clients.",
    "system": "Pause, audit, and who is there.",
    "task runs": "Control of a running task, and messages to it.",
    "live sessions": "Terminals on running tasks.",
    "health": "For probes, for Prometheus, and this description.",
}
DESCRIPTION: Final = """\
A job queue for long-running agent tasks. JSON in UTF-8, names in camelCase, times in RFC 3339 UTC with
milliseconds. Unknown fields are refused. A list is `{items, nextCursor}`; its cursor is opaque, and null at
the end. Every error is a problem document (RFC 9457) whose `code` is stable. Every change may be repeated:
it has taken effect once, or it is refused under a lost lease."""
HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Idempotency-Key": {
        "description": "the same key with the same job returns the first one, for 24 hours",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "traceparent": {
        "description": "the trace that the job and its attempts are parts of (W3C Trace Context)",
        "schema": {"type": "string"},
    },
    "tracestate": {
        "description": "what comes with `traceparent`; up to 512 characters are kept",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {"description": "go on behind this event", "schema": {"type": "string"}},
    "Range": {"description": "a part of the file, like `bytes=0-99`", "schema": {"type": "string"}},
    "If-None-Match": {"description": "the ETag of what is there already", "schema": {"type": "string"}},
}
RETRY_AFTER: Final = {
    "Retry-After": {"description": "seconds until it is worth a try", "schema": {"type": "integer"}}
}
SECURITY: Final = {
    "workerToken": {"type": "apiKey", "in": "header", "name": "X-Worker-Token", "description": "`sgwt_...`"},
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`sgop_...`, `sgwt_...`, or a JWT of the identity provider",
    },
}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The description of one service; endpoints without a tag are pages for people and left out."""
    described = [each for each in endpoints if each.documented]
    structs = list(dict.fromkeys([Problem, *(kind for each in described for kind in _kinds(each))]))
    schemas, components = msgspec.json.schema_components(structs, ref_template=REFERENCE)
    components = {name: _plain(schema) for name, schema in sorted(components.items())}
    made = _Operations(dict(zip(structs, map(_plain, schemas), strict=True)), components)
    paths: dict[str, Any] = {}
    for endpoint in described:
        paths.setdefault(path_of(endpoint), {})[endpoint.method.lower()] = made.operation(endpoint)
    return _assembled(paths, components)


def merged(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One document of several. Raises ValueError where two of them describe one thing differently."""
    paths: dict[str, Any] = {}
    components: dict[str, Any] = {}
    for each in documents:
        _add(components, each["components"]["schemas"], "component")
        for path, operations in each["paths"].items():
            _add(paths.setdefault(path, {}), operations, path)
    return _assembled(paths, dict(sorted(components.items())))


def path_of(endpoint: Endpoint) -> str:
    """The address as OpenAPI has it: a parameter without the pattern that aiohttp checks."""
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", endpoint.path)


class _Operations:
    """Turns endpoints into operations, with the schemas of all their structs at hand."""

    def __init__(self, schemas: dict[Any, Any], components: dict[str, Any]) -> None:
        self._schemas = schemas
        self._components = components

    def operation(self, endpoint: Endpoint) -> dict[str, Any]:
        made: dict[str, Any] = {
            "operationId": _operation_id(endpoint),
            "tags": [endpoint.tag],
            "summary": endpoint.summary,
            "description": _who(endpoint),
            "security": _security(endpoint),
        }
        if parameters := self._parameters(endpoint):
            made["parameters"] = parameters
        if endpoint.body is not None:
            made["requestBody"] = {
                "required": not endpoint.optional_body,
                "content": {"application/json": self._content(endpoint.body)},
            }
        if endpoint.upload is not None:
            made["requestBody"] = {"required": True, "content": {"multipart/form-data": self._form(endpoint)}}
        made["responses"] = {**self._replies(endpoint), **self._refusals(endpoint)}
        return made

    def _parameters(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        of_a_token = {"id": examples.CREDENTIAL} if "/tokens/" in endpoint.path else {}
        values = {**examples.VALUES, **of_a_token}
        found = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
                "example": values.get(name, name),
            }
            for name in re.findall(r"\{(\w+)\}", path_of(endpoint))
        ]
        found += [
            {"name": name, "in": "header", "required": False, **HEADERS[name]} for name in endpoint.headers
        ]
        return found + (_query(endpoint.query) if endpoint.query is not None else [])

    def _form(self, endpoint: Endpoint) -> dict[str, Any]:
        """The fields of an upload, and the file."""
        fields = self._whole(self._schemas[endpoint.upload])
        file = {"description": "the content", "contentMediaType": "application/octet-stream"}
        return {
            "schema": {
                "type": "object",
                "properties": {**fields["properties"], "file": file},
                "required": [*fields.get("required", ()), "file"],
                "additionalProperties": False,
            }
        }

    def _replies(self, endpoint: Endpoint) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for status, kind in endpoint.replies.items():
            made[str(status)] = {"description": REPLIES.get(status, "Done.")}
            if kind is not None:
                made[str(status)]["content"] = {"application/json": self._content(kind)}
            elif 200 <= status < 300:
                text = {"type": "string"} if endpoint.media.startswith("text/") else {}
                made[str(status)]["content"] = {endpoint.media: {"schema": text}}
        return made

    def _refusals(self, endpoint: Endpoint) -> dict[str, Any]:
        """One response for each status, with an example for each code."""
        by_status: dict[int, list[str]] = {}
        for code in problems.codes(endpoint):
            by_status.setdefault(problems.CODES[code].status, []).append(code)
        return {
            str(status): {
                "description": " ".join(f"`{each}`: {problems.CODES[each].meaning}" for each in codes),
                **({"headers": RETRY_AFTER} if status in (429, 503) else {}),
                "content": {
                    PROBLEM: {
                        "schema": {
                            "allOf": [
                                {"$ref": REFERENCE.format(name="Problem")},
                                {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
                            ]
                        },
                        "examples": {each: {"value": problems.example(each)} for each in codes},
                    }
                },
            }
            for status, codes in sorted(by_status.items())
        }

    def _content(self, kind: Any) -> dict[str, Any]:
        choices = [self._schemas[each] for each in _choices(kind)]
        schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
        return {"schema": schema, "example": examples.example(schema, self._components)}

    def _whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._components[schema["$ref"].rpartition("/")[2]]
        return found


REPLIES: Final = {
    101: "It is a WebSocket from here on.",
    200: "Done, or what was asked for.",
    201: "Made.",
    206: "The part that was asked for.",
    207: "Each entry with a status of its own.",
    304: "Not changed since.",
}


def _kinds(endpoint: Endpoint) -> list[Any]:
    named = (endpoint.body, endpoint.upload, *endpoint.replies.values())
    return [each for kind in named if kind is not None for each in _choices(kind)]


def _choices(kind: Any) -> tuple[Any, ...]:
    """A reply that is one of several structs, which no decoder could tell apart, by its parts."""
    return get_args(kind) if isinstance(kind, UnionType) or get_origin(kind) is Union else (kind,)


def _query(kind: type[Struct]) -> list[dict[str, Any]]:
    """Parameters are text: one that may be left out cannot be null."""
    _, components = msgspec.json.schema_components([kind], ref_template=REFERENCE)
    schema = _plain(components[kind.__name__])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            **({"description": each.pop("description")} if "description" in each else {}),
            "schema": each,
        }
        for name, each in ((name, _not_null(each)) for name, each in schema["properties"].items())
    ]


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    outer = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    if "enum" in outer:
        return {**outer, "enum": [each for each in outer["enum"] if each is not None]}
    choices = [each for each in outer.pop("anyOf", ()) if each != {"type": "null"}]
    return {**choices[0], **outer} if len(choices) == 1 else {**schema}


def _plain(schema: Any) -> Any:
    """Without titles and null defaults, and with patterns that end as JSON schema's do."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            plain[name] = {field: _plain(each) for field, each in value.items()}
        elif name == "pattern":
            plain[name] = value.removesuffix(NOT_BEFORE_A_LINE_FEED)
        elif name != "title" and (name, value) != ("default", None):
            plain[name] = _plain(value)
    return plain


def _operation_id(endpoint: Endpoint) -> str:
    """`post_jobs_id_cancel`: made from the address, so that it stays while that stays."""
    words = re.findall(r"\w+", path_of(endpoint).replace("-", "_"))
    prefixes = [["api", "queue"], ["api"]]
    for prefix in prefixes:
        if words[: len(prefix)] == prefix:
            words = words[len(prefix) :]
            break
    return "_".join((endpoint.method.lower(), *words))


def _who(endpoint: Endpoint) -> str:
    if endpoint.may == "open":
        return "Open to everybody."
    if endpoint.may == "worker":
        return "For a worker, with a credential that names it."
    also = f"; also for a {' or a '.join(endpoint.also)}" if endpoint.also else ""
    return f"For the role {endpoint.may} and those above it{also}."


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.may == "open":
        return []
    bearer: list[dict[str, list[str]]] = [{"bearer": []}]
    worker: list[dict[str, list[str]]] = [{"workerToken": []}]
    if endpoint.may == "worker":
        return worker + bearer
    return bearer + worker if "worker" in endpoint.also else bearer


def _assembled(paths: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    used = {tag for operations in paths.values() for each in operations.values() for tag in each["tags"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluicegate",
            "version": sluicegate.__version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items() if name in used],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
    }


def _add(into: dict[str, Any], more: dict[str, Any], what: str) -> None:
    for name, value in more.items():
        if into.setdefault(name, value) != value:
            raise ValueError(f"two services describe {what} {name} differently")
