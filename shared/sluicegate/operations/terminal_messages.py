"""What goes over the WebSocket of a run's terminal: bytes and some JSON out, JSON in (70-25)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from sluicegate.errors import Invalid, SluicegateError

MAX_MESSAGE_BYTES: Final = 64 * 1024
ENDED: Final = 1000
"""The run, or its live session, has ended."""
GOING_AWAY: Final = 1001
"""The service stops: come back."""
NOT_UNDERSTOOD: Final = 1008
SLOW: Final = 4008
"""The viewer took too little of what the terminal showed: come back and begin with what it shows then."""
NOT_ALLOWED: Final = 4003
"""The credential is not, or not any more, accepted."""


class Input(Struct, tag="input", tag_field="type", forbid_unknown_fields=True):
    """Type this."""

    data: Annotated[str, Meta(min_length=1, max_length=8192)]


class Resize(Struct, tag="resize", tag_field="type", forbid_unknown_fields=True):
    """Give the terminal this size, for everybody who watches."""

    columns: Annotated[int, Meta(ge=2, le=1000)]
    rows: Annotated[int, Meta(ge=1, le=500)]


class GiveBack(Struct, tag="give_back", tag_field="type", forbid_unknown_fields=True):
    """Let my grant end now."""


class Session(Struct, tag="session", tag_field="type", rename="camel", kw_only=True):
    """How it stands. writer: who may type, until `granted_until`. yours: whether that is the viewer."""

    status: str
    writer: str | None
    granted_until: str | None
    yours: bool


class Size(Struct, tag="size", tag_field="type"):
    """The terminal has this size from here on."""

    columns: int
    rows: int


class Attempt(Struct, tag="attempt", tag_field="type"):
    """What comes is of another attempt of the run: it begins with an empty screen."""

    number: int


class Refused(Struct, tag="error", tag_field="type"):
    """A message was not obeyed. code: one of the API's."""

    code: str
    detail: str


Told = Session | Size | Attempt | Refused
encode = msgspec.json.Encoder().encode


Asked = Input | Resize | GiveBack


def asked(message: str) -> Asked:
    """What a viewer sent. Raises Invalid, which says what is taken."""
    try:
        decoded: Asked = msgspec.json.decode(message, type=Asked)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Invalid(
            'send JSON like {"type": "input", "data": "ls\\r"} or '
            f'{{"type": "resize", "columns": 120, "rows": 40}}: {error}',
            code="bad_request",
        ) from error
    return decoded


def told(message: str) -> Told:
    """What a service sent. Raises DecodeError."""
    return msgspec.json.decode(message, type=Session | Size | Attempt | Refused)


def refused(error: SluicegateError) -> Refused:
    return Refused(code=error.code, detail=error.detail)


def left_out(count: int) -> bytes:
    """How a gap looks on the terminal itself."""
    return b"\x1b[0m\r\n\x1b[7m %s bytes are left out here: faster than anyone reads \x1b[0m\r\n" % (
        f"{count:,}".encode()
    )
