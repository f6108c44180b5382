"""What a worker on another machine publishes of its runs' terminals, and gets of what is typed into them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from sluicegate.auth.identity import Identity
from sluicegate.errors import Invalid
from sluicegate.operations import worker_calls
from sluicegate.operations.calls import Call, Held
from sluicegate.store import terminals
from sluicegate.store.connection import Store
from sluicegate.store.terminals import Piece, Typed
from sluicegate.times import to_rfc3339

SIZE_PATTERN = r"^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$(?!\n)"
Place = Annotated[int, Meta(ge=0, lt=2**53, description="of its first byte, in all that was shown")]
Bytes = Annotated[bytes, Meta(max_length=349_528, description="in base64")]
Size = Annotated[str, Meta(pattern=SIZE_PATTERN, description="columns and rows, like `120x40`")]
EntryId = Annotated[str, Meta(pattern=r"^[0-9]{1,19}-[0-9]{1,19}$(?!\n)", description="of what was typed")]


class ShownPiece(Call):
    """One of `data`, `size` and `left_out`; a piece of the last two takes one place."""

    place: Place
    data: Bytes | None = None
    size: Size | None = None
    left_out: Annotated[int, Meta(ge=1, lt=2**53, description="bytes that are not shown here")] | None = None


class ShowCall(Held):
    """typed: the last of what was typed that the terminal got, so that it need not be kept any longer."""

    pieces: Annotated[list[ShownPiece], Meta(max_length=200)]
    typed: EntryId | None = None


class ShowAnswer(Struct, rename="camel", kw_only=True):
    """watched: whether anybody looks: then publish at once. granted_until: when nobody may type any more."""

    watched: bool
    granted_until: str | None = None


class TypedQuery(Held):
    """Whose run it is."""


class TypedPiece(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """One of the two. data: in base64."""

    data: bytes | None = None
    size: str | None = None


async def show(store: Store, who: Identity, job_id: str, call: ShowCall) -> ShowAnswer:
    """Keep what the terminal shows. Raises Invalid, Conflict, LeaseLost, NotFound, Forbidden."""
    pieces = [_piece(at, each) for at, each in enumerate(call.pieces)]
    worker_id, token = await worker_calls.held(store, who, job_id, call)
    shown = await terminals.show(store, worker_id, job_id, token, pieces, typed=call.typed or "")
    until = shown.granted_until_ms
    return ShowAnswer(watched=shown.watched, granted_until=to_rfc3339(until) if until else None)


def told(typed: Typed) -> TypedPiece:
    """What was typed, as a worker is sent it."""
    if typed.kind == "d":
        return TypedPiece(data=typed.data)
    return TypedPiece(size=typed.data.decode())


def piece(shown: Piece) -> ShownPiece:
    """A piece as a worker sends it."""
    match shown.kind:
        case "d":
            return ShownPiece(place=shown.place, data=shown.data)
        case "size":
            return ShownPiece(place=shown.place, size=shown.data.decode())
        case "left_out":
            return ShownPiece(place=shown.place, left_out=int(shown.data))


def _piece(at: int, sent: ShownPiece) -> Piece:
    given = [each for each in (sent.data, sent.size, sent.left_out) if each is not None]
    if len(given) != 1:
        raise Invalid.field(f"pieces[{at}]", "has one of data, size and leftOut")
    if sent.data is not None:
        return Piece(sent.place, "d", sent.data)
    if sent.size is not None:
        return Piece(sent.place, "size", sent.size.encode())
    return Piece(sent.place, "left_out", str(sent.left_out).encode())
