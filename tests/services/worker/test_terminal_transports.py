"""A run's terminal on both ways: what it shows is published, what is typed arrives once (L-14)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sluicegate import keys
from sluicegate.errors import Conflict, LeaseLost
from sluicegate.store import Store, terminals
from sluicegate.store.streams import BEGINNING
from sluicegate.store.terminals import Piece, Shown, Typed
from sluicegate.worker.transports import Claimed, Transport
from tests.services.worker.conftest import held
from tests.support import live
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

PIECES = [Piece(0, "size", b"80x24"), Piece(1, "d", b"\x00\xff\x1b[1m"), Piece(7, "left_out", b"12")]


@asynccontextmanager
async def hearing(transport: Transport, attempt: Claimed, place: str, heard: list[Typed]) -> Any:
    task = asyncio.create_task(transport.hear_typed(attempt.job_id, attempt.token, place, heard.append))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_shown_is_published_as_it_is(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """Every byte; the answer says who watches and until when somebody may type."""
    attempt = await held(transport, make)
    await live.session(store, attempt.job_id, attempt.token, granted_to="ann")
    shown = await transport.show_terminal(attempt.job_id, attempt.token, PIECES, "")
    assert not shown.watched and shown.granted_until_ms > await store.now_ms()
    await terminals.keep_watched(store, [attempt.job_id])
    await live.session(store, attempt.job_id, attempt.token)
    assert await transport.show_terminal(attempt.job_id, attempt.token, [], "") == Shown(True, 0)
    async with store.blocking() as connection:
        await connection.send_command("XRANGE", keys.job_terminal(attempt.job_id), "-", "+")
        entries = await connection.read_response(disable_decoding=True)
    assert entries == [
        [b"1-1", [b"size", b"80x24"]], [b"1-2", [b"d", b"\x00\xff\x1b[1m"]], [b"1-8", [b"left_out", b"12"]],
    ]  # fmt: skip


async def test_what_is_refused_is_refused_on_both_ways(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    attempt = await held(transport, make)
    with pytest.raises(Conflict) as refused:
        await transport.show_terminal(attempt.job_id, attempt.token, PIECES, "")
    assert refused.value.code == "live_session_state_conflict"
    with pytest.raises(LeaseLost):
        await transport.show_terminal(attempt.job_id, attempt.token + 1, PIECES, "")


async def test_what_is_typed_arrives_once_and_in_order(
    store: Store, transport: Transport, make: JobBuilder
) -> None:
    """What waited before anybody listened too; who comes back goes on behind what was had."""
    attempt = await held(transport, make)
    await live.session(store, attempt.job_id, attempt.token, granted_to="ann")

    async def type_in(data: bytes, kind: Any = "d") -> None:
        await terminals.type_into(store, attempt.job_id, "ann", kind, data)

    heard: list[Typed] = []
    await type_in(b"a")
    async with hearing(transport, attempt, BEGINNING, heard):
        await until(lambda: len(heard) == 1, "what waited is there")
        await type_in("ü".encode())
        await type_in(b"90x30", "size")
        await until(lambda: len(heard) == 3, "what is typed is there")
    await type_in(b"b")
    async with hearing(transport, attempt, heard[-1].id, heard):
        await until(lambda: len(heard) == 4, "what was typed meanwhile is there")
        await type_in(b"c")
        await until(lambda: len(heard) == 5, "and what comes")
    assert [(each.kind, each.data) for each in heard] == [
        ("d", b"a"), ("d", "ü".encode()), ("size", b"90x30"), ("d", b"b"), ("d", b"c"),
    ]  # fmt: skip
    assert await store.command("XLEN", keys.job_typed(attempt.job_id)) == 5
    await transport.show_terminal(attempt.job_id, attempt.token, [], heard[3].id)
    assert await store.command("XLEN", keys.job_typed(attempt.job_id)) == 1
