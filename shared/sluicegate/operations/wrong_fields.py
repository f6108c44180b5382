"""Names every wrong field of a document at once: the decoder itself stops at the first.

`convert` is `msgspec.convert` for documents that people write, with one {path, message} for each problem.
"""

from __future__ import annotations

import re
import types
from functools import cache
from typing import Any, Final, Literal, TypedDict, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from sluicegate.errors import Invalid

T = TypeVar("T", bound=Struct)
_NAMED: Final = re.compile(r"^Object (?P<what>contains unknown|missing required) field `(?P<name>.*)`$")


class Problem(TypedDict):
    path: str
    message: str


def invalid(problems: list[Problem]) -> Invalid:
    """The error that carries all of them; its detail tells the first and how many more there are."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Invalid(f"{first['path']}: {first['message']}{more}", errors=problems)


def convert(value: Any, kind: type[T], path: str) -> T:
    """The struct, or Invalid with every problem found."""
    if problems := find(value, kind, path):
        raise invalid(problems)
    return msgspec.convert(value, kind)


def find(value: Any, kind: Any, path: str) -> list[Problem]:
    """What is wrong with `value` as a `kind`: one entry for each wrong field, none when it fits."""
    kind = _without_none(kind)
    if value is None and kind is not Any and _convertible(None, kind):
        return []
    plain = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    if isinstance(plain, type) and issubclass(plain, Struct):
        return _in_struct(value, plain, path) if isinstance(value, dict) else _leaf(value, plain, path)
    inner: list[Problem] = []
    if get_origin(plain) is list and isinstance(value, list):
        inner = [
            problem
            for index, item in enumerate(value)
            for problem in find(item, get_args(plain)[0], f"{path}[{index}]")
        ]
    elif get_origin(plain) is dict and isinstance(value, dict):
        key_kind, item_kind = get_args(plain)
        for key, item in value.items():
            inner += _leaf(key, key_kind, f"{path}.{key}") or find(item, item_kind, f"{path}.{key}")
    return inner or _leaf(value, kind, path)


def located(error: Exception, path: str, kind: Any = Any) -> Problem:
    """msgspec's sentence about a value at `path`, the place that it names joined to the path.

    kind: what the value should have been; of a choice of words the sentence then says which there are.
    """
    message, _, place = str(error).partition(" - at `$")
    path += place.removesuffix("`")
    if named := _NAMED.match(message):
        path = f"{path}.{named['name']}"
        message = "is required" if named["what"] == "missing required" else "is not a field here"
    if message.startswith("Invalid enum value") and (choices := _choices(kind)):
        message += f": it is one of {', '.join(choices)}"
    return {"path": path, "message": message}


@cache
def fields_of(kind: Any) -> dict[str, FieldInfo]:
    """The fields of a struct by their names on the wire: msgspec would evaluate each annotation anew."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _in_struct(value: dict[Any, Any], kind: type[Struct], path: str) -> list[Problem]:
    fields = fields_of(kind)
    problems: list[Problem] = [
        {"path": f"{path}.{key}", "message": "is not a field here"} for key in value if key not in fields
    ]
    for name, field in fields.items():
        if name not in value:
            if field.required:
                problems.append({"path": f"{path}.{name}", "message": "is required"})
        elif value[name] is not None or not _allows_none(field.type):
            problems += find(value[name], field.type, f"{path}.{name}")
    return problems


def _leaf(value: Any, kind: Any, path: str) -> list[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return [located(error, path, kind)]
    return []


def _choices(kind: Any) -> list[str]:
    plain = _without_none(get_args(kind)[0] if hasattr(kind, "__metadata__") else kind)
    return [str(each) for each in get_args(plain)] if get_origin(plain) is Literal else []


def _convertible(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _allows_none(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)


def _without_none(kind: Any) -> Any:
    """`X | None` -> `X`; other unions stay whole and are judged as one value."""
    if _allows_none(kind):
        rest = [each for each in get_args(kind) if each is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind
