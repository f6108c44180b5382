"""One large artifact uploaded over HTTP: how fast it goes, and what it costs the service's memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final

import psutil

from benchmarks.programs import Program
from benchmarks.rig import Rig
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from sluicegate.client.http_connection import HttpConnection
from sluicegate.client.http_files import upload
from sluicegate.model import Policy
from sluicegate.store import Store, claims

MIB: Final = 1 << 20
WORKER: Final = "bench"
LOOK_SECONDS: Final = 0.005
COPY: Final = "copying the file, synced"
SPEED: Final = Measure(name="artifact of 100 MiB over HTTP", unit="MiB/s", more_is_better=True, ceiling=COPY)
GROWTH: Final = Measure(name="growth of queue_api's memory by it", unit="MiB", target=32)


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """The growth is that since the service started: what an upload leaves behind counts too."""
    size = scale.of(100, quick=16) * MIB
    with Rig() as rig:
        async with rig.store() as store, rig.client() as client, _service(rig, size) as (service, connection):
            content = rig.folder / "content"
            await asyncio.to_thread(_fill, content, size)
            before = _resident(service)
            for _ in scale.rounds:
                job_id, token = (await client.enqueue(type="noop")).id, await _claimed(store)
                copied = await asyncio.to_thread(_copy, content, rig.folder / "data" / "copy")
                fields = {"name": "content", "workerId": WORKER, "leaseToken": token}
                path = f"/api/queue/jobs/{job_id}/artifacts/upload"
                started = time.perf_counter()
                async with _watched(service) as highest:
                    await upload(connection, path, fields, content, retry_seconds=0)
                seconds = time.perf_counter() - started
                yield {
                    SPEED: Reading(size / MIB / seconds, size / MIB / copied),
                    GROWTH: Reading((highest[0] - before) / MIB),
                }


@contextlib.asynccontextmanager
async def _service(rig: Rig, size: int) -> AsyncIterator[tuple[Program, HttpConnection]]:
    async with rig.service_process("queue_api", MAX_ARTIFACT_BYTES=str(size)) as (service, url):
        connection = HttpConnection(url, None, timeout_seconds=60, retry_seconds=0, reconnect_seconds=0)
        await connection.open()
        try:
            yield service, connection
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def _watched(service: Program) -> AsyncIterator[list[int]]:
    """The highest resident memory while the block runs, in bytes, as the only entry."""
    highest = [_resident(service)]

    async def look() -> None:
        while True:
            highest[0] = max(highest[0], _resident(service))
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield highest
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _claimed(store: Store) -> str:
    """The lease token of the only job that waits."""
    claimed = await claims.claim(
        store, Policy(), worker_id=WORKER, lease_ms=600_000, limit=1, request_id=str(time.monotonic_ns())
    )
    if not claimed.jobs or claimed.jobs[0].lease_token is None:
        raise Unmeasured("there was no job to claim")
    return claimed.jobs[0].lease_token


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


def _copy(source: Path, target: Path) -> float:
    """Seconds to copy it on the same disk until it is safe there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with source.open("rb") as content, target.open("wb") as copy:
        while chunk := content.read(MIB):
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return time.perf_counter() - started


def _resident(service: Program) -> int:
    return int(psutil.Process(service.pid).memory_info().rss)


SUBJECT: Final = Subject(
    name="artifact", says="one of 100 MiB over HTTP: its speed, and the service's memory", rounds=rounds
)
