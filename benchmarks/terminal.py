"""The terminal of a running task over its WebSocket: an echo, a flood, the end of a grant.

A real task on a real worker, with its own live session; viewers are connections to a control service.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, Final

import aiohttp

from benchmarks.ceiling import latencies
from benchmarks.programs import Program, until
from benchmarks.rig import Rig
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from benchmarks.tasks import ABLE, make_repository

APART_SECONDS: Final = 0.03
"""Between two keystrokes: a person who types very fast."""
PACED: Final = """
import os, sys, time
line = b"x" * 99 + b"\\n"
piece, rate, total = line * 400, 20_000_000, {total}
began, sent = time.monotonic(), 0
while sent < total:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(1, rest):]
    sent += len(piece)
    ahead = sent / rate - (time.monotonic() - began)
    if ahead > 0:
        time.sleep(ahead)
print("TOOK", time.monotonic() - began, file=open("{noted}", "w"))
"""
VIEWERS: Final = 5
SLOWER: Final = Measure(
    name="a source of 20 MB/s takes longer with 5 viewers, one stalled", unit="%", target=10
)
BARE: Final = Measure(name="its rate with nobody watching", unit="MB/s", more_is_better=True)


class Site:
    """A control service and a worker for tasks."""

    def __init__(self, rig: Rig, session: aiohttp.ClientSession, worker: Program) -> None:
        self.rig, self.session, self.worker = rig, session, worker

    @contextlib.asynccontextmanager
    async def running(self, script: str) -> AsyncIterator[str]:
        """The id of a task that runs this script, its live session ready; cancelled in the end."""
        payload = {
            "repository": str(self.rig.folder / "repository"),
            "targetRuntime": "shell",
            "task": {"instructions": script, "publish": {"mode": "none"}},
        }
        async with self.rig.client() as client:
            job_id = (await client.enqueue(type="task", payload=payload, max_attempts=1)).id
            await until(lambda: self._ready(job_id), "the live session is ready", self.worker)
            try:
                yield job_id
            finally:
                await client.cancel(job_id)
                await until(lambda: _ended(client, job_id), "the task has ended", self.worker)

    async def _ready(self, job_id: str) -> bool:
        async with self.session.get(f"/api/task-runs/{job_id}/live-session") as answer:
            return answer.status == 200 and (await answer.json())["session"]["status"] == "ready"

    async def post(self, job_id: str, what: str, body: dict[str, Any]) -> None:
        async with self.session.post(f"/api/task-runs/{job_id}/live-session/{what}", json=body) as answer:
            if answer.status != 200:
                raise Unmeasured(f"{what}: {await answer.text()}")

    def watch(self, job_id: str) -> Any:
        return self.session.ws_connect(f"/api/task-runs/{job_id}/terminal", max_msg_size=0)


@contextlib.asynccontextmanager
async def site(*, far: bool = False) -> AsyncIterator[Site]:
    """far: the worker reaches only the API."""
    with Rig() as rig:
        make_repository(rig.folder / "repository")
        settings = {f"SLUICEGATE_{name}": value for name, value in ABLE.items()}
        async with contextlib.AsyncExitStack() as stack:
            if far:
                api = rig.service("queue_api", ALLOW_LOCAL_REPOSITORIES="1")
                settings["SLUICEGATE_URL"] = await stack.enter_async_context(api)
            url = await stack.enter_async_context(rig.service("control"))
            worker = await stack.enter_async_context(rig.program("services.worker", settings))
            session = await stack.enter_async_context(aiohttp.ClientSession(url))
            yield Site(rig, session, worker)


async def echoes(scale: Scale, *, far: bool) -> AsyncGenerator[Round, None]:
    """From a keystroke's send until its echo is there: the line discipline of the terminal gives it."""
    keys = scale.of(200, quick=30)
    what = "a keystroke until its echo" + (", its worker behind the API" if far else "")
    async with site(far=far) as there, there.running("cat") as job_id:
        await there.post(job_id, "grant-write", {"ttlMinutes": 60})
        async with there.watch(job_id) as socket:
            await _granted(socket)
            for _ in scale.rounds:
                taken = [await _echo(socket) for _ in range(keys)]
                yield latencies(what, taken, None, p50=30, p99=100)


async def _echo(socket: aiohttp.ClientWebSocketResponse) -> float:
    await asyncio.sleep(APART_SECONDS)
    began = time.perf_counter()
    await socket.send_str('{"type": "input", "data": "k"}')
    while True:
        message = await socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.BINARY and b"k" in message.data:
            return (time.perf_counter() - began) * 1000
        if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            raise Unmeasured(f"the WebSocket was closed: {message}")


async def _granted(socket: aiohttp.ClientWebSocketResponse) -> None:
    while True:
        message = await socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data).get("yours"):
            return


async def floods(scale: Scale) -> AsyncGenerator[Round, None]:
    """The same source, once with nobody and once with five viewers, of whom one reads nothing."""
    total = scale.of(100, quick=20) * 1_000_000
    async with site() as there:
        for _ in scale.rounds:
            alone = await _flood(there, total, 0)
            seen = await _flood(there, total, VIEWERS)
            yield {
                SLOWER: Reading((seen / alone - 1) * 100),
                BARE: Reading(total / alone / 1e6),
            }


async def _flood(there: Site, total: int, viewers: int) -> float:
    noted = there.rig.folder / f"took-{time.monotonic_ns()}"
    go = noted.with_suffix(".go")
    program = noted.with_suffix(".py")
    program.write_text(PACED.format(total=total, noted=noted))
    script = f"while ! test -e {go}; do sleep 0.05; done; python3 {program}; sleep 600"
    async with there.running(script) as job_id, contextlib.AsyncExitStack() as stack:
        for number in range(viewers):
            socket = await stack.enter_async_context(there.watch(job_id))
            if number == 0:
                socket._response.connection.transport.pause_reading()  # it stalls
            else:
                reading = asyncio.create_task(_read(socket))
                stack.callback(reading.cancel)
        go.touch()
        await until(noted.exists, "the source has ended", there.worker, seconds=120)
        await until(lambda: bool(noted.read_text()), "it has said how long it took", there.worker)
        return float(noted.read_text().split()[1])


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        continue


async def cuts(scale: Scale) -> AsyncGenerator[Round, None]:
    """From the send of a revoke until the WebSocket of who types is closed; typing is refused before that."""
    async with site() as there:
        for _ in scale.rounds:
            async with there.running("cat") as job_id:
                await there.post(job_id, "grant-write", {"ttlMinutes": 60})
                async with there.watch(job_id) as socket:
                    await _granted(socket)
                    await _echo(socket)
                    began = time.perf_counter()
                    await there.post(job_id, "revoke", {})
                    await _closed(socket)
                    taken = (time.perf_counter() - began) * 1000
                    yield {
                        Measure(
                            name="a revoke until the WebSocket is closed", unit="ms", target=1000
                        ): Reading(taken)
                    }


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    while not socket.closed:
        await socket.receive(timeout=10)


async def _ended(client: Any, job_id: str) -> bool:
    return bool((await client.get(job_id)).terminal)


SUBJECTS: Final = (
    Subject(
        name="terminal-echo",
        says="from a keystroke in a run's terminal until its echo, over the WebSocket",
        rounds=partial(echoes, far=False),
        long=True,
        limit_seconds=120.0,
    ),
    Subject(
        name="terminal-far",
        says="the same for a worker that reaches only the API",
        rounds=partial(echoes, far=True),
        long=True,
        limit_seconds=120.0,
    ),
    Subject(
        name="terminal-flood",
        says="a run that puts out 20 MB/s, with five viewers and with none",
        rounds=floods,
        long=True,
        limit_seconds=300.0,
    ),
    Subject(
        name="terminal-cut",
        says="from the revoke of a live session until nobody can type",
        rounds=cuts,
        long=True,
        limit_seconds=120.0,
    ),
)
