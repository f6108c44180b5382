"""A thousand claims of one queue_api wait: how soon one of them has a job, and what they cost the store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from benchmarks import connections
from benchmarks.ceiling import echoes, latencies
from benchmarks.over_http import JOBS, call
from benchmarks.programs import until
from benchmarks.rig import Rig
from benchmarks.subject import Reading, Round, Scale, Subject
from sluicegate.client import Client

CLIENTS: Final = 1_000
APART_SECONDS: Final = 0.02
WAIT_SECONDS: Final = 30

Picked = dict[str, int]
"""Job id -> when the claim that got it was answered, in monotonic ns."""


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    clients, number = scale.of(CLIENTS, quick=50), scale.of(200, quick=20)
    with Rig() as rig, rig.wire() as wire:
        async with (
            rig.service("queue_api") as url,
            rig.client() as client,
            aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session,
            _waiting(session, clients) as picked,
        ):
            port = URL(url).port or 0
            await until(lambda: connections.open_to(port) >= clients, "all claims wait", every_seconds=0.2)
            for _ in scale.rounds:
                echo = echoes(wire)
                sent = await _enqueue(client, number)
                await until(partial(_all_there, sent, picked), "all jobs are picked up")
                taken = [(picked[job_id] - at) / 1e6 for job_id, at in sent.items()]
                yield {
                    **latencies(f"pickup, {clients:,} waiting claims", taken, echo, p99=20.0),
                    connections.measure(f"{clients:,} waiting claims", 4): Reading(connections.counted(wire)),
                }


@contextlib.asynccontextmanager
async def _waiting(session: aiohttp.ClientSession, clients: int) -> AsyncIterator[Picked]:
    """Claims that wait, each again once it was answered."""
    picked: Picked = {}

    async def wait(name: str) -> None:
        body = msgspec.json.encode({"workerId": name, "leaseSeconds": 600, "waitSeconds": WAIT_SECONDS})
        while True:
            answer = await call(session, f"{JOBS}/claim", body)
            at = time.monotonic_ns()
            picked.update((job["id"], at) for job in msgspec.json.decode(answer)["jobs"])

    tasks = [asyncio.create_task(wait(f"bench-{at}")) for at in range(clients)]
    try:
        yield picked
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _enqueue(client: Client, number: int) -> dict[str, int]:
    """Job id -> just before its enqueue was sent."""
    sent: dict[str, int] = {}
    for _ in range(number):
        at = time.monotonic_ns()
        sent[(await client.enqueue(type="noop")).id] = at
        await asyncio.sleep(APART_SECONDS)
    return sent


def _all_there(sent: dict[str, int], picked: Picked) -> bool:
    return sent.keys() <= picked.keys()


SUBJECT: Final = Subject(
    name="long-polls",
    says="from an enqueue's send to the answer of a claim that waited for it",
    rounds=rounds,
)
