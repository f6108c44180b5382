"""show_terminal: what a run's terminal showed lately, while its session is open."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sluicegate import keys
from sluicegate.errors import Conflict
from sluicegate.store import terminals
from sluicegate.store.connection import Store
from sluicegate.store.terminals import Piece, Shown
from tests.support import fences, live
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made


async def show(store: Store, made: Made, *pieces: Piece, typed: str = "") -> Shown:
    return await terminals.show(store, made.worker, made.job_id, made.token, pieces, typed=typed)


async def shown(store: Store, made: Made) -> list[tuple[str, dict[str, str]]]:
    entries = await store.command("XRANGE", keys.job_terminal(made.job_id), "-", "+")
    return [(entry, dict(zip(flat[::2], flat[1::2], strict=True))) for entry, flat in entries]


@pytest.fixture
async def made(store: Store, builder: JobBuilder) -> Made:
    """A running job with a ready session."""
    made = await builder.running()
    await live.session(store, made.job_id, made.token)
    return made


async def test_what_is_shown_stands_in_order_and_goes_by_itself(store: Store, made: Made) -> None:
    """L-14: bytes, sizes and gaps by their places; nothing else changes; the key expires."""
    before = await contents(store)
    said = [
        Piece(0, "size", b"120x40"),
        Piece(1, "d", b"ab"),
        Piece(3, "left_out", b"99"),
        Piece(4, "d", b"z"),
    ]
    assert await show(store, made, *said) == Shown(watched=False, granted_until_ms=0)
    assert changed(before, await contents(store)) == {f"job:{made.job_id}:terminal"}
    assert await shown(store, made) == [
        ("1-1", {"size": "120x40"}), ("1-2", {"d": "ab"}), ("1-4", {"left_out": "99"}), ("1-5", {"d": "z"}),
    ]  # fmt: skip
    assert 0 < await store.command("PTTL", keys.job_terminal(made.job_id)) <= terminals.TERMINAL_MS


async def test_a_repeated_call_shows_nothing_twice(store: Store, made: Made) -> None:
    """The reply was lost, and more has come meanwhile."""
    await show(store, made, Piece(0, "d", b"one "))
    before = await contents(store)
    await show(store, made, Piece(0, "d", b"one "))
    assert await contents(store) == before
    await show(store, made, Piece(0, "d", b"one "), Piece(4, "d", b"two"))
    assert [fields["d"] for _, fields in await shown(store, made)] == ["one ", "two"]


async def test_only_the_latest_is_kept(store: Store, made: Made) -> None:
    """Of this attempt, in bytes; what an earlier one showed goes with its first piece."""
    store.settings = msgspec.structs.replace(store.settings, terminal_scrollback_bytes=1024)
    await store.command("XADD", keys.job_terminal(made.job_id), "0-7", "d", "of an earlier attempt")
    for at in range(40):
        await show(store, made, Piece(at * 100, "d", b"x" * 100))
    kept = await shown(store, made)
    assert kept[-1][0] == f"{made.token}-3901"
    assert 1024 - 100 <= sum(len(fields["d"]) for _, fields in kept) <= 1024


async def test_many_small_pieces_are_bounded_in_number(
    store: Store, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminals, "MOST_ENTRIES", 10)
    await show(store, made, *(Piece(at, "d", b"x") for at in range(30)))
    assert [entry for entry, _ in await shown(store, made)] == [f"{made.token}-{at}" for at in range(21, 31)]


async def test_the_answer_tells_who_watches_and_who_may_type(store: Store, made: Made) -> None:
    """So a worker needs to ask for neither; an ended grant is none."""
    await terminals.keep_watched(store, [made.job_id])
    assert (await show(store, made)).watched
    await live.session(store, made.job_id, made.token, granted_to="ann")
    granted = (await show(store, made)).granted_until_ms
    assert granted > await store.now_ms()
    await live.session(store, made.job_id, made.token, status="starting", granted_to="ann")
    assert (await show(store, made)).granted_until_ms == 0
    await live.session(store, made.job_id, made.token, granted_to="ann", for_ms=-1)
    assert (await show(store, made)).granted_until_ms == 0


async def test_what_was_typed_and_taken_goes(store: Store, made: Made) -> None:
    await live.session(store, made.job_id, made.token, granted_to="ann")
    for letter in (b"a", b"b", b"c"):
        await terminals.type_into(store, made.job_id, "ann", "d", letter)
    typed = await store.command("XRANGE", keys.job_typed(made.job_id), "-", "+")
    await show(store, made, typed=typed[1][0])
    assert await store.command("XRANGE", keys.job_typed(made.job_id), "-", "+") == typed[2:]


@pytest.mark.parametrize("case", fences.cases("show"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)
    if case.word != "JOB_NOT_FOUND":
        await live.session(store, made.job_id, made.token)

    async def call() -> list[Any]:
        reply = await store.run(
            "show_terminal", [Piece(0, "d", b"x")], worker=made.worker, id=made.job_id, token=made.token,
            scrollback=1000, entries=10, keep_ms=1000, typed="",
        )  # fmt: skip
        return [reply]

    await fences.refuses(store, call, case.word)


@pytest.mark.parametrize("status", ["revoked", "ended", "error", None, "another"])
async def test_a_session_that_is_over_shows_nothing(
    store: Store, builder: JobBuilder, status: str | None
) -> None:
    """Without one too, and while it is another attempt's: a late piece must not bring the key back."""
    made = await builder.running()
    if status == "another":
        await live.session(store, made.job_id, made.token + 1)
    elif status:
        await live.session(store, made.job_id, made.token, status=status)
    before = await contents(store)
    with pytest.raises(Conflict) as refused:
        await show(store, made, Piece(0, "d", b"x"))
    assert refused.value.code == "live_session_state_conflict"
    assert await contents(store) == before
