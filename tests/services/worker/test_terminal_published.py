"""A run's terminal on its way to who watches, and what they type on its way back, on both ways (L-14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.worker.terminal import publisher as module
from services.worker.terminal.publisher import Publisher
from sluicegate import keys
from sluicegate.store import Store, terminals
from sluicegate.store.streams import Streams
from sluicegate.store.terminals import Piece
from sluicegate.worker.terminal import Size, Terminal
from sluicegate.worker.transports import Claimed, Transport
from tests.services.worker.conftest import held
from tests.support import live
from tests.support.job_builder import JobBuilder
from tests.support.wait import until


class Typewriter:
    """Stands for a command: it echoes what is typed, as a terminal does."""

    size: tuple[int, int] | None = (120, 40)

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.typed = b""

    async def write(self, data: bytes) -> None:
        self.typed += data
        self._terminal.show(data)

    def resize(self, columns: int, rows: int) -> None:
        self.size = columns, rows


class Stage:
    """An attempt whose terminal is published, and who looks at what comes of it in the store."""

    def __init__(self, store: Store, attempt: Claimed, transport: Transport) -> None:
        self.store, self.attempt = store, attempt
        self.terminal = Terminal()
        self.publisher = Publisher(self.terminal, transport, attempt.job_id, attempt.token)
        self.pieces: list[Piece] = []

    @property
    def seen(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces if piece.kind == "d")

    async def session(self, **fields: Any) -> None:
        await live.session(self.store, self.attempt.job_id, self.attempt.token, **fields)

    async def type(self, data: bytes, kind: Any = "d") -> None:
        await terminals.type_into(self.store, self.attempt.job_id, "ann", kind, data)


@pytest.fixture
async def stage(store: Store, transport: Transport, make: JobBuilder) -> AsyncIterator[Stage]:
    made = Stage(store, await held(transport, make), transport)
    await made.session()
    streams = Streams(store)

    def take(shown: list[tuple[int, Piece]]) -> None:
        made.pieces += [piece for _, piece in shown]

    async with terminals.follow_shown(streams, made.attempt.job_id, take):
        with made.publisher.hearing():
            yield made
    await streams.close()


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(stage.publisher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_shown_arrives_whole_and_at_once_for_who_watches(store: Store, stage: Stage) -> None:
    """What came before the session was open too; while nobody looks, seldom and together."""
    stage.terminal.show(b"before ")
    async with running(stage):
        await until(lambda: stage.seen == b"before ", "what came before is there")
        await terminals.keep_watched(store, [stage.attempt.job_id])
        stage.publisher.look()
        stage.terminal.resize(Size(90, 30))
        for number in range(20):
            stage.terminal.show(b"%d " % number)
            await asyncio.sleep(0.005)
        expected = b"before " + b"".join(b"%d " % number for number in range(20))
        await until(lambda: stage.seen == expected, "all of it is there")
        stage.terminal.show(b"last")
    await until(lambda: stage.seen == expected + b"last", "what came last too")
    assert [piece.data for piece in stage.pieces if piece.kind == "size"] == [b"120x40", b"90x30"]


async def test_under_a_grant_it_is_typed_and_echoed(store: Store, stage: Stage) -> None:
    """Once and in order; without the grant nothing of it; what the terminal got is forgotten by the store."""
    command = Typewriter(stage.terminal)
    async with running(stage):
        await stage.session(granted_to="ann")
        stage.publisher.look()
        await stage.type(b"x")
        await until(lambda: b"takes what is typed" in stage.seen, "it says that nobody takes it")
        stage.terminal.attach(command)  # type: ignore[arg-type]
        for letter in (b"a", b"b", "ü".encode()):
            await stage.type(letter)
        await stage.type(b"100x50", "size")
        await until(lambda: command.size == (100, 50), "it is typed, and resized")
        assert command.typed == "abü".encode()
        await until(lambda: stage.seen.endswith("abü".encode()), "and echoed")
        key = keys.job_typed(stage.attempt.job_id)

        async def forgotten() -> bool:
            return await store.command("XLEN", key) == 0

        await until(forgotten, "the store has forgotten it")
        await stage.type(b"c")
        await until(lambda: command.typed.endswith(b"c"), "what is typed then comes too")
        await stage.session()
        stage.publisher.look()
        await until(lambda: stage.publisher._ear is None, "the grant's end is known")


async def test_a_flood_is_shown_in_part(store: Store, stage: Stage) -> None:
    """Its last words and how much is missing are seen, in far fewer bytes than came."""
    await terminals.keep_watched(store, [stage.attempt.job_id])
    async with running(stage):
        await until(lambda: stage.publisher._somebody, "it knows that somebody looks")
        for number in range(400):
            stage.terminal.show(b"%06d " % number * 2_000 + b"\r\n")
            await asyncio.sleep(0)
        stage.terminal.show(b"done")
        await until(lambda: stage.seen.endswith(b"done"), "the end is seen")
    left_out = sum(int(piece.data) for piece in stage.pieces if piece.kind == "left_out")
    assert left_out + len(stage.seen) == 400 * (7 * 2_000 + 2) + 4
    assert len(stage.seen) < 1_000_000


async def test_the_end_of_the_session_ends_it_and_another_one_goes_on(stage: Stage) -> None:
    """L-1: nothing is raised, the terminal goes on being heard, and nothing is shown twice."""
    async with running(stage) as task:
        stage.terminal.show(b"one ")
        await until(lambda: stage.seen == b"one ", "it is published")
        await stage.session(status="revoked")
        stage.publisher.look()
        await asyncio.wait_for(asyncio.shield(task), 10)
    stage.terminal.show(b"two ")
    await stage.session()
    async with running(stage):
        await until(lambda: stage.seen == b"one two ", "what came meanwhile is published")


async def test_a_store_that_is_away_costs_nothing_that_was_shown(
    store: Store, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    async with running(stage):
        for number in range(3):
            await store.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            stage.terminal.show(b"%d" % number)
            stage.publisher.look()
            await until(lambda: len(stage.seen) == number + 1, "it is published")  # noqa: B023
    assert stage.seen == b"012"
