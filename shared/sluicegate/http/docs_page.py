"""The API's description as one page for people: no script, and nothing from any other address."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup, escape

HERE: Final = Path(__file__).parent / "docs"
SERVER: Final = "http://127.0.0.1:8080"


def render(document: dict[str, Any]) -> str:
    """The whole page of an OpenAPI document that `openapi.document` or `openapi.merged` made."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # who only serves the API needs none

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(code=_code, json=_json)
    parts = [
        {
            **tag,
            "anchor": tag["name"].replace(" ", "-"),
            "operations": [each for each in _operations(document) if each["tag"] == tag["name"]],
        }
        for tag in document["tags"]
    ]
    return environment.get_template("page.html").render(
        info=document["info"],
        parts=parts,
        security=document["components"]["securitySchemes"],
        style=Markup(_style()),  # noqa: S704  our own file
    )


@cache
def headers() -> dict[str, str]:
    """The style stands in the page, and is the only thing that a browser may take from it."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


@cache
def _style() -> str:
    return (HERE / "page.css").read_text()


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    components = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, each in methods.items():
            kind, content = _first_content(each.get("requestBody", {}))
            replies = {status: reply for status, reply in each["responses"].items() if int(status) < 400}
            yield {
                "tag": each["tags"][0],
                "id": each["operationId"],
                "method": method.upper(),
                "path": path,
                "summary": each["summary"],
                "who": each["description"],
                "parameters": each.get("parameters", []),
                "parameter_types": [_type(parameter["schema"]) for parameter in each.get("parameters", [])],
                "body_media": kind,
                "body_optional": kind is not None and not each["requestBody"]["required"],
                "fields": list(_fields(content.get("schema", {}), components)),
                "body_example": content.get("example"),
                "replies": [_reply(status, reply, components) for status, reply in replies.items()],
                "errors": list(_errors(each["responses"])),
                "curl": _curl(method.upper(), path, each, kind, content.get("example")),
            }


def _reply(status: str, reply: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    media, content = _first_content(reply)
    return {
        "status": status,
        "words": reply["description"],
        "media": media,
        "type": _type(content.get("schema", {})),
        "fields": list(_fields(content.get("schema", {}), components)),
        "example": content.get("example"),
    }


def _first_content(part: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Media type and what is said of it; a body and a reply have one at most."""
    found: dict[str, dict[str, Any]] = part.get("content", {})
    return next(iter(found.items()), (None, {}))


def _errors(responses: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Status, code and meaning of each refusal."""
    for status, reply in responses.items():
        problem = reply.get("content", {}).get("application/problem+json", {})
        for code, shown in problem.get("examples", {}).items():
            yield status, code, shown["value"]["detail"]


def _fields(schema: dict[str, Any], components: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The fields of an object, or of each of the objects that it may be."""
    for choice in schema.get("anyOf", [schema]):
        whole = components[choice["$ref"].rpartition("/")[2]] if "$ref" in choice else choice
        required = whole.get("required", ())
        for name, each in whole.get("properties", {}).items():
            yield {
                "name": name,
                "required": name in required,
                "type": _type(each),
                "words": _words(each),
            }


def _words(schema: dict[str, Any]) -> str:
    """Its description, or that of the one thing that it is beside null."""
    if "description" in schema:
        return str(schema["description"])
    return next((each["description"] for each in schema.get("anyOf", ()) if "description" in each), "")


def _type(schema: dict[str, Any]) -> str:
    """`string`, `Job`, `list of Event`, `queued, running or failed`, `number, 1 to 3600`."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2]).replace("_", " ").strip()
    if choices := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_type(each) for each in choices))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join("null" if each is None else str(each) for each in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    low, high = (
        schema.get(f"{which}imum", schema.get(f"exclusive{which.title()}imum")) for which in ("min", "max")
    )
    if low is not None and high is not None:
        return f"{kind}, {low:,.15g} to {high:,.15g}"
    return kind


def _curl(method: str, path: str, operation: dict[str, Any], media: str | None, body: Any) -> str:
    """A call that can be pasted; the credential comes from the environment."""
    for each in operation.get("parameters", []):
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", str(each["example"]))
    streams = "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    first = ["curl", "-N"] if streams else ["curl"]
    if method != "GET" and media is None:
        first += ["-X", method]
    lines = [" ".join([*first, SERVER + path])]
    if operation["security"]:
        worker = "workerToken" in operation["security"][0]
        lines.append('-H "X-Worker-Token: $TOKEN"' if worker else '-H "Authorization: Bearer $TOKEN"')
    if media == "application/json":
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body))}"]
    elif media is not None:
        required = operation["requestBody"]["content"][media]["schema"]["required"]
        lines += [f"-F {name}={'@out.txt' if name == 'file' else '...'}" for name in required]
    return " \\\n  ".join(lines)


def _code(text: str) -> Markup:
    """`words` in backquotes as code; everything escaped."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
