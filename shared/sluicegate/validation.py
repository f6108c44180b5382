"""Bytes and text from outside become structs, or an error that names every wrong field.

Paths are those of the JSON document: `leaseSeconds`, `payload.task.steps[0].id`; the document itself is "".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from sluicegate.errors import BadRequest, Invalid
from sluicegate.operations.wrong_fields import Problem, fields_of, find, located

T = TypeVar("T")


def decode(raw: bytes, kind: type[T]) -> T:
    """Raises BadRequest when the bytes are not JSON, Invalid when they are not a `kind`."""
    try:
        decoded: T = _decoder(kind).decode(raw)  # type: ignore[arg-type]  # a class is hashable
        return decoded
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        first = error
    # The typed decoder stops at the first wrong field: even in a body that is no JSON further on.
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        # A number beyond every type: the typed decoder knew the field's name.
        raise _invalid([located(first, "")]) from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    raise _invalid(find(value, kind, "") or [located(first, "")]) from None


def convert(value: Any, kind: type[T]) -> T:
    """The same for a value that was already decoded. Raises Invalid."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(find(value, kind, "") or [located(error, "")]) from None


def convert_text(values: Mapping[str, str | list[str]], kind: type[T]) -> T:
    """The same for texts, such as query parameters: numbers and booleans are read from them, null is not.

    `null` is a name like any other: taken for nothing, `?type=null` listed the jobs of every type.
    """
    try:
        converted = msgspec.convert(values, kind, strict=False)
        nulls = {
            name: text for name, text in values.items() if isinstance(text, str) and text.lower() == "null"
        }
        for name, value in _as_words(nulls, kind).items():
            setattr(converted, name, value)
        return converted
    except msgspec.ValidationError as error:
        raise _invalid(list(_wrong_texts(values, kind)) or [located(error, "")]) from None


def _as_words(values: Mapping[str, str], kind: Any) -> dict[str, Any]:
    fields = fields_of(kind)
    return {
        fields[name].name: msgspec.convert(text, _without_none(fields[name].type), strict=False)
        for name, text in values.items()
    }


def _without_none(kind: Any) -> Any:
    """`X` of `X | None`, also within `Annotated`."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        return Annotated[(_without_none(inner), *notes)]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(each for each in get_args(kind) if each is not NoneType)]  # noqa: UP007
    return kind


def _wrong_texts(values: Mapping[str, str | list[str]], kind: Any) -> Iterator[Problem]:
    fields = fields_of(kind)
    for name in (each for each in values if each not in fields):
        yield Problem(path=name, message="is not a field here")
    for name, field in fields.items():
        if name not in values:
            if field.required:
                yield Problem(path=name, message="is required")
            continue
        try:
            msgspec.convert(values[name], _without_none(field.type), strict=False)
        except msgspec.ValidationError as error:
            yield located(error, f".{name}", _without_none(field.type))


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _invalid(problems: list[Problem]) -> Invalid:
    """Paths come from the document's root as `.a.b`."""
    errors = [Problem(path=each["path"].removeprefix("."), message=each["message"]) for each in problems]
    sentences = [f"{each['path']}: {each['message']}" if each["path"] else each["message"] for each in errors]
    return Invalid("; ".join(sentences), errors=errors)
