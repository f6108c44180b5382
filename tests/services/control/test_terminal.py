"""The WebSocket of a run's terminal: who may open it, what it shows, who may type, how it ends (L-14)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from services.control import terminals as hub
from services.control.app import build
from sluicegate import keys
from sluicegate.http import serving
from sluicegate.operations import terminal_messages as messages
from sluicegate.settings import ControlSettings
from sluicegate.store import terminals
from sluicegate.store.connection import Store
from sluicegate.store.terminals import Piece
from tests.support import given, live
from tests.support.tokens import bearer, operator_token
from tests.support.wait import until

ME = "local-operator"


class Watching:
    """One WebSocket: what came over it so far, and how it ended."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen = b""
        self.told: list[dict[str, Any]] = []
        self.reason = ""
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            message = await self.socket.receive()
            if message.type is WSMsgType.BINARY:
                self.seen += message.data
            elif message.type is WSMsgType.TEXT:
                self.told.append(json.loads(message.data))
            else:
                self.reason = str(message.extra or "")
                return

    async def says(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first message of this kind with these fields."""

        def found() -> dict[str, Any] | None:
            wanted = {"type": kind, **fields}
            return next((each for each in self.told if wanted.items() <= each.items()), None)

        return await until(found, f"{kind} {fields}")

    async def shows(self, text: bytes) -> None:
        await until(lambda: text in self.seen, f"{text!r} is shown")

    async def closed(self) -> int | None:
        await asyncio.wait_for(self._task, 10)
        return self.socket.close_code

    async def type(self, text: str) -> None:
        await self.socket.send_str(json.dumps({"type": "input", "data": text}))

    async def close(self) -> None:
        await self.socket.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Run:
    """A running job whose worker is played by the test."""

    def __init__(self, store: Store, job_id: str) -> None:
        self.store, self.job_id = store, job_id
        self.path = f"/api/task-runs/{job_id}/terminal"
        self._place = 0

    async def show(self, data: bytes, kind: Any = "d") -> None:
        piece = Piece(self._place, kind, data)
        await terminals.show(self.store, "worker-1", self.job_id, 1, [piece])
        self._place = piece.end

    async def session(self, **fields: Any) -> None:
        await live.session(self.store, self.job_id, 1, **fields)

    async def typed(self) -> list[str]:
        entries = await self.store.command("XRANGE", keys.job_typed(self.job_id), "-", "+")
        return [dict(zip(flat[::2], flat[1::2], strict=True)).get("d", flat[-1]) for _, flat in entries]


@pytest.fixture
async def run(store: Store) -> Run:
    made = Run(store, (await given.running(store, "task")).id)
    await made.session()
    return made


@asynccontextmanager
async def watching(control: ClientSession, run: Run, **options: Any) -> AsyncIterator[Watching]:
    opened = Watching(await control.ws_connect(run.path, **options))
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def served(settings: ControlSettings, store: Store) -> AsyncIterator[ClientSession]:
    """A client of a control service with these settings."""
    async with (
        serving(build(settings, store), "127.0.0.1", 0) as (host, port),
        ClientSession(f"http://{host}:{port}") as session,
    ):
        yield session


async def refused(client: ClientSession, path: str, **options: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await client.ws_connect(path, **options)
    return error.value.status


async def test_it_shows_what_was_there_and_what_comes(control: ClientSession, run: Run, store: Store) -> None:
    """Byte by byte, to several viewers, sizes and gaps too; and the worker learns that somebody watches."""
    await run.show(b"120x40", "size")
    await run.show(b"before \xff\x1b[1m")
    async with watching(control, run) as first:
        await first.says("session", status="ready", writer=None, yours=False)
        await first.says("size", columns=120, rows=40)
        await first.shows(b"before \xff\x1b[1m")
        assert (await terminals.show(store, "worker-1", run.job_id, 1, [])).watched
        async with watching(control, run) as second:
            await second.shows(b"before \xff\x1b[1m")
            await run.show(b"12345678", "left_out")
            await run.show(b"now")
            for each in (first, second):
                await each.shows(b"now")
                assert b"12,345,678 bytes are left out" in each.seen
            assert first.seen == second.seen


async def test_typing_needs_a_grant_of_this_operator(control: ClientSession, run: Run) -> None:
    """L-10, L-14: refused with a sentence, the terminal stays open; under the grant it is typed."""
    async with watching(control, run) as viewer:
        await viewer.type("x")
        said = await viewer.says("error", code="live_session_state_conflict")
        assert "needs a grant" in said["detail"]
        await run.session(granted_to="ann")
        await viewer.type("x")
        await until(lambda: "belongs to ann" in str(viewer.told), "it says whose it is")
        await run.session(granted_to=ME)
        said = await viewer.says("session", writer=ME, yours=True)
        assert said["grantedUntil"]
        await viewer.type("ls\r")
        await viewer.socket.send_str('{"type":"resize","columns":90,"rows":30}')
        await until(run.typed, "it is there")
        await until(lambda: _has(run, ["ls\r", "90x30"]), "both are there")


async def _has(run: Run, wanted: list[str]) -> bool:
    return await run.typed() == wanted


async def test_a_grants_end_cuts_input_and_is_told(control: ClientSession, run: Run) -> None:
    """L-10: within a second, whether it ends by itself or is taken away; the test allows ten (70-62)."""
    async with watching(control, run) as viewer:
        await run.session(granted_to=ME, for_ms=1000)
        await viewer.says("session", yours=True)
        await until(lambda: viewer.told[-1].get("writer", "") is None, "the end is told")
        await viewer.type("x")
        await viewer.says("error")
        assert await run.typed() == []
        await run.session(granted_to=ME)
        await viewer.says("session", yours=True)
        await run.session(status="revoked")
        assert await viewer.closed() == messages.ENDED
        assert "revoked" in viewer.reason


async def test_the_end_of_the_run_comes_after_its_last_words(
    control: ClientSession, run: Run, store: Store
) -> None:
    async with watching(control, run) as viewer:
        await viewer.says("session")
        await run.show(b"the last word")
        await store.command("HSET", keys.job_live(run.job_id), "status", "ended")
        assert await viewer.closed() == messages.ENDED
        assert viewer.seen == b"the last word"


@pytest.mark.parametrize(
    "frame",
    ["nonsense", "{}", '{"type":"input"}', '{"type":"input","data":""}', '{"type":"run","data":"x"}',
     '{"type":"input","data":"x","more":1}', '{"type":"resize","columns":0,"rows":1}', b"\x00\xff"],
)  # fmt: skip
async def test_garbage_is_answered_and_ends_it(control: ClientSession, run: Run, frame: str | bytes) -> None:
    await run.session(granted_to=ME)
    async with watching(control, run) as viewer:
        await (viewer.socket.send_bytes(frame) if isinstance(frame, bytes) else viewer.socket.send_str(frame))
        assert (await viewer.says("error"))["code"] == "bad_request"
        assert await viewer.closed() == messages.NOT_UNDERSTOOD
        assert await run.typed() == []


async def test_a_viewer_that_stalls_is_left_alone(
    control: ClientSession, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-14: the others see everything as it comes; the one is told, or loses its connection."""
    monkeypatch.setattr(hub, "UNSENT_BYTES", 256 * 1024)
    stalled = await control.ws_connect(run.path)
    assert stalled._response is not None and stalled._response.connection is not None
    transport = stalled._response.connection.transport
    assert transport is not None
    transport.pause_reading()  # type: ignore[attr-defined]
    async with watching(control, run) as viewer:
        shown = 0
        async with asyncio.timeout(20):
            while "slow" not in await _ended(control):
                await run.show(b"x" * 64 * 1024)
                shown += 64 * 1024
                await until(lambda: len(viewer.seen) == shown, "the other has it")  # noqa: B023
        assert viewer.socket.close_code is None
    transport.abort()
    await stalled.close()


async def _ended(control: ClientSession) -> str:
    """Why viewers were left, by the metrics."""
    async with control.get("/metrics") as answer:
        page = await answer.text()
    lines = [line for line in page.splitlines() if line.startswith("sluicegate_terminal_viewers_ended_total")]
    return "\n".join(lines)


async def test_who_may_not_is_refused_before_it_opens(
    control: ClientSession, run: Run, store: Store, control_settings: ControlSettings
) -> None:
    """A foreign Origin, no session, a wrong job, a run without a session, a request that is no WebSocket."""
    assert await refused(control, run.path, origin="https://evil.example") == 403
    other = await given.queued(store)
    assert await refused(control, f"/api/task-runs/{other}/terminal") == 404
    assert await refused(control, "/api/task-runs/nothing/terminal") == 404
    async with control.get(run.path) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "bad_request")
    closed = msgspec.structs.replace(control_settings, auth="required")
    viewer = await operator_token(store, user_id="vera", role="viewer")
    async with served(closed, store) as session:
        assert await refused(session, run.path) == 401
        await run.session(granted_to="vera")
        async with watching(session, run, headers=bearer(viewer.token)) as opened:
            await opened.says("session", writer="vera")
            await opened.type("x")
            await opened.says("error", code="operator_not_authorized")
    assert await run.typed() == []


async def test_viewers_are_bounded(store: Store, run: Run, control_settings: ControlSettings) -> None:
    """By run and by process; a viewer that leaves makes room."""
    few = msgspec.structs.replace(control_settings, terminal_max_viewers_per_run=1)
    async with served(few, store) as session:
        async with watching(session, run) as viewer:
            await viewer.says("session")
            assert await refused(session, run.path) == 429

        async def room() -> bool:
            try:
                async with watching(session, run):
                    return True
            except aiohttp.WSServerHandshakeError:
                return False

        await until(room, "there is room again")


async def test_a_service_that_stops_says_so(
    store: Store, run: Run, control_settings: ControlSettings
) -> None:
    async with ClientSession() as session:
        async with serving(build(control_settings, store), "127.0.0.1", 0) as (host, port):
            opened = Watching(await session.ws_connect(f"http://{host}:{port}{run.path}"))
            await opened.says("session")
        assert await opened.closed() == messages.GOING_AWAY
        await opened.close()


async def test_another_attempt_begins_with_an_empty_screen(control: ClientSession, run: Run) -> None:
    await run.show(b"old")
    async with watching(control, run) as viewer:
        await viewer.shows(b"old")
        key = keys.job_terminal(run.job_id)
        await run.store.command("XADD", key, "2-1", "d", "new")
        await viewer.says("attempt", number=2)
        await viewer.shows(b"oldnew")
        async with watching(control, run) as late:
            await late.shows(b"new")
            assert late.seen == b"new"
