"""What a person has filled into a form: made into a call, or shown again with what is wrong beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Self, TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from sluicegate.errors import RequestError
from sluicegate.http import form_fields
from sluicegate.operations.wrong_fields import fields_of
from sluicegate.validation import convert_text

T = TypeVar("T", bound=msgspec.Struct)
_LOCAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?")

_IN_WORDS: Final = (
    (re.compile(r"Expected `int`, got `\w+`"), "must be a whole number"),
    (re.compile(r"Expected `(?:float|int \| float)`, got `\w+`"), "must be a number"),
    (re.compile(r"Expected `(?:int|float)` >= (\S+?)(?:\.0)?"), r"must be at least \1"),
    (re.compile(r"Expected `(?:int|float)` > (\S+?)(?:\.0)?"), r"must be more than \1"),
    (re.compile(r"Expected `(?:int|float)` <= (\S+?)(?:\.0)?"), r"must be at most \1"),
    (
        re.compile(r"Expected `str` matching regex '\^\[a-z\]\[a-z0-9_\.-\]\{0,63\}.*"),
        "must begin with a small letter; then small letters, digits, _ . and -, up to 64 in all",
    ),
    (
        re.compile(r"Expected `str` matching regex '\^\[\^\S+\{1,128\}.*"),
        "must have 1 to 128 printable characters",
    ),
    (re.compile(r"Expected `str` of length <= (\d+)"), r"must have at most \1 characters"),
)


class AnyForm(msgspec.Struct):
    """Declared by a form that `Filled` reads: what may be in it is said by the call that it becomes."""


class Filled:
    """The fields of a form. errors: field -> what is wrong with it. refusal: why nothing was done."""

    def __init__(self, values: Mapping[str, Sequence[str]] | None = None) -> None:
        self.errors: dict[str, str] = {}
        self.refusal: str | None = None
        self.code: str | None = None
        self._values = dict(values or {})

    @classmethod
    async def read(cls, request: web.Request) -> Self:
        """Raises Forbidden (csrf_failed), UnsupportedMediaType."""
        return cls(await form_fields(request))

    @classmethod
    def asked(cls, request: web.Request, *times: str) -> Self:
        """What stands in a page's address; times: fields whose time without a zone is UTC."""
        values = {name: [value] for name, value in request.query.items()}
        return cls({**values, **{each: [as_utc(values[each][0])] for each in times if each in values}})

    @classmethod
    def of(cls, **values: str | None) -> Self:
        """What a form has in its fields before anybody fills it in."""
        return cls({name: [value] for name, value in values.items() if value is not None})

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name, [default])[-1]

    @property
    def names(self) -> list[str]:
        return list(self._values)

    def all(self, name: str) -> list[str]:
        return list(self._values.get(name, ()))

    def call(self, kind: type[T], **more: str | list[str]) -> T:
        """A call of what stands in the fields that it has; a blank field is not given. Raises Invalid."""
        names = fields_of(kind)
        texts: dict[str, str | list[str]] = {
            name: values[-1] for name, values in self._values.items() if name in names and values[-1].strip()
        }
        return convert_text({**texts, **more}, kind)

    def address(self, path: str, **changed: str | None) -> str:
        """Where the same is asked for, but for what is changed; blank fields are left out."""
        values = {name: self.get(name) for name in self._values} | changed
        return f"{path}?{urlencode({name: value for name, value in values.items() if value})}"

    def refused(self, error: RequestError) -> Self:
        """The same, with what is wrong."""
        self.refusal, self.code = error.detail, error.code
        for each in error.extra.get("errors", ()):
            message = in_words(each["message"])
            self.errors[each["path"]] = message
            self.errors.setdefault(each["path"].partition("[")[0], message)
        return self


def in_words(message: str) -> str:
    """What is wrong with a field, for who has filled it in: `Expected `int` <= 20` is for programs."""
    for pattern, words in _IN_WORDS:
        if found := pattern.fullmatch(message):
            return found.expand(words)
    return message


def as_utc(text: str) -> str:
    """A time as a browser's field has it, which knows no zone: the pages call it UTC. Others as they are."""
    return f"{text}Z" if _LOCAL_TIME.fullmatch(text) else text


def listed(text: str) -> list[str]:
    """`a, b` or one a line."""
    return [part for each in re.split(r"[,\n]", text) if (part := each.strip())]
