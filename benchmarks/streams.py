"""A thousand clients of one queue_api follow a hundred jobs: how soon each has each event."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Final, cast

import aiohttp
import msgspec
from yarl import URL

from benchmarks import connections
from benchmarks.ceiling import echoes, latencies
from benchmarks.over_http import JOBS, call
from benchmarks.programs import until
from benchmarks.rig import Rig, fill
from benchmarks.subject import Reading, Round, Scale, Subject, Unmeasured
from sluicegate.model import Job, Policy
from sluicegate.store import Store, claims

CLIENTS: Final = 1_000
FOLLOWED: Final = 100
APART_SECONDS: Final = 0.005
LEASE_MS: Final = 3_600_000
WORKER: Final = "bench"
SENT: Final = b'"sent":'


class Listener(asyncio.Protocol):
    """One event stream, read by as little as can be. delays: ms from each event's send, by its own word."""

    def __init__(self, path: str, host: str) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.delays: list[float] = []
        self.begun = self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's are no instances of it
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.begun = True
        at = data.find(SENT)
        while at >= 0:
            sent = data[at + len(SENT) : data.index(b",", at)]
            self.delays.append((now - int(sent)) / 1e6)
            at = data.find(SENT, at + 1)

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True

    def close(self) -> None:
        self._transport.close()


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    clients, jobs = scale.of(CLIENTS, quick=50), scale.of(FOLLOWED, quick=5)
    appends = scale.of(1_000, quick=100)
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.service("queue_api") as url,
            rig.store() as store,
            aiohttp.ClientSession(url) as session,
        ):
            held = await _claimed(store, jobs)
            async with _listening(URL(url), held, clients) as listeners:
                for _ in scale.rounds:
                    echo = echoes(wire)
                    delays = await _followed(session, held, appends, listeners)
                    yield {
                        **latencies(f"event to {clients:,} streams", delays, echo, p99=50.0),
                        connections.measure(f"{clients:,} streams and the appends"): Reading(
                            connections.counted(wire, reading=1)
                        ),
                    }


async def _claimed(store: Store, number: int) -> list[Job]:
    await fill(store, number)
    claimed = await claims.claim(
        store, Policy(), worker_id=WORKER, lease_ms=LEASE_MS, limit=number, request_id="streams"
    )
    if len(claimed.jobs) != number:
        raise Unmeasured(f"{len(claimed.jobs)} of {number} jobs were claimed")
    return claimed.jobs


@contextlib.asynccontextmanager
async def _listening(url: URL, held: list[Job], clients: int) -> AsyncIterator[list[Listener]]:
    assert url.host is not None
    assert url.port is not None
    listeners = [
        Listener(f"{JOBS}/{held[at % len(held)].id}/events/stream?after=now", url.host)
        for at in range(clients)
    ]
    opened = []
    try:
        for each in listeners:
            await asyncio.get_running_loop().create_connection(partial(_same, each), url.host, url.port)
            opened.append(each)
        await until(lambda: all(each.begun for each in listeners), "all streams are open")
        yield listeners
    finally:
        for each in opened:
            each.close()


def _same(listener: Listener) -> Listener:
    return listener


async def _followed(
    session: aiohttp.ClientSession, held: list[Job], appends: int, listeners: list[Listener]
) -> list[float]:
    """Append evenly in time, each whether or not those before were answered; the delays of all receipts."""
    expected = appends * len(listeners) // len(held)
    for listener in listeners:
        listener.delays.clear()
    sending = []
    started = time.monotonic()
    for at in range(appends):
        await asyncio.sleep(max(0.0, started + at * APART_SECONDS - time.monotonic()))
        sending.append(asyncio.create_task(_append(session, held[at % len(held)])))
    await asyncio.gather(*sending)
    await until(lambda: _received(listeners) >= expected, "all events are received")
    if any(each.lost for each in listeners) or _received(listeners) > expected:
        raise Unmeasured("a stream was lost, or had an event twice")
    return [delay for each in listeners for delay in each.delays]


async def _append(session: aiohttp.ClientSession, job: Job) -> None:
    payload = {"kind": "log", "sent": time.monotonic_ns(), "stream": "stdout", "text": "x" * 100}
    body = {"workerId": WORKER, "leaseToken": job.lease_token, "message": "output", "payload": payload}
    await call(session, f"{JOBS}/{job.id}/events", msgspec.json.encode(body))


def _received(listeners: list[Listener]) -> int:
    return sum(len(each.delays) for each in listeners)


SUBJECT: Final = Subject(
    name="streams", says="from an event's append over HTTP to each client that follows", rounds=rounds
)
