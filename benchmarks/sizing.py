"""`python -m benchmarks.sizing`: memory, file descriptors and sockets of each service, idle and at work.

A Markdown table, as docs/reference/sizing.md has it. Memory is what a process has for itself (USS) and what
it shows (RSS); sockets are those to the store and those to clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import psutil
import uvloop

from benchmarks.programs import Program, running
from sluicegate.dev.embedded_store import EmbeddedStore

LONG_POLLS: Final = 200
STREAMS: Final = 200
DASHBOARDS: Final = 50
JOBS: Final = 20_000
BATCH: Final = 500
SLOTS: Final = 16
SETTLE_SECONDS: Final = 3.0
SERVICES: Final = {
    "queue_api": ("services.queue_api", "service_listening"),
    "control": ("services.control", "service_listening"),
    "worker": ("services.worker", "worker.started"),
    "sweeper": ("services.sweeper", "sweeper.started"),
}


class Size(NamedTuple):
    own_mib: float
    shown_mib: float
    files: int
    to_store: int
    sockets: int

    def larger(self, other: Size) -> Size:
        return Size(
            max(self.own_mib, other.own_mib),
            max(self.shown_mib, other.shown_mib),
            max(self.files, other.files),
            max(self.to_store, other.to_store),
            max(self.sockets, other.sockets),
        )

    def row(self, service: str, when: str) -> str:
        figures = (
            f"{self.own_mib:.0f} | {self.shown_mib:.0f} | {self.files} | {self.to_store} | {self.sockets}"
        )
        return f"| {service} | {when} | {figures} |"


def size(pid: int, store_port: int) -> Size:
    process = psutil.Process(pid)
    memory = process.memory_full_info()
    connections = process.net_connections("tcp")
    to_store = sum(bool(each.raddr) and each.raddr.port == store_port for each in connections)
    return Size(memory.uss / 2**20, memory.rss / 2**20, process.num_fds(), to_store, len(connections))


async def measure(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        environment = {
            "SLUICEGATE_REDIS_URL": store.url,
            "SLUICEGATE_DATA_DIR": str(folder / "data"),
            "SLUICEGATE_QUEUE_API_PORT": "0",
            "SLUICEGATE_CONTROL_PORT": "0",
            "SLUICEGATE_METRICS_PORT": "0",
            "SLUICEGATE_WORKER_CONCURRENCY": str(SLOTS),
        }
        async with contextlib.AsyncExitStack() as stack:
            started: dict[str, Program] = {}
            for name, (module, event) in SERVICES.items():
                started[name] = await stack.enter_async_context(running(module, environment, folder))
                await said(started[name], event)
            await asyncio.sleep(SETTLE_SECONDS)
            idle = {name: size(each.pid, store.port) for name, each in started.items()}
            busy = await under_load(started, store.port)
    print("| service | when | own MiB | RSS MiB | file descriptors | connections to the store | sockets |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in SERVICES:
        print(idle[name].row(name, "idle"))
        print(busy[name].row(name, "at work"))


async def under_load(started: dict[str, Program], store_port: int) -> dict[str, Size]:
    """The largest of each figure, while clients wait, stream and watch and the worker works through jobs."""
    found = {name: size(each.pid, store_port) for name, each in started.items()}

    async def look() -> None:
        while True:
            for name, each in started.items():
                found[name] = found[name].larger(size(each.pid, store_port))
            await asyncio.sleep(0.2)

    at = {name: address(started[name]) for name in ("queue_api", "control")}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        watched = await enqueued(session, at["queue_api"], "watched", 1)
        looking = asyncio.create_task(look())
        waiting = [
            asyncio.create_task(poll(session, at["queue_api"], f"poller-{n}")) for n in range(LONG_POLLS)
        ]
        stream = f"{at['queue_api']}/api/queue/jobs/{watched[0]}/events/stream"
        waiting += [asyncio.create_task(read(session, stream)) for _ in range(STREAMS)]
        waiting += [asyncio.create_task(read(session, f"{at['control']}/events")) for _ in range(DASHBOARDS)]
        try:
            await asyncio.sleep(SETTLE_SECONDS)
            last = ""
            for _ in range(JOBS // BATCH):
                last = (await enqueued(session, at["queue_api"], "noop", BATCH))[-1]
            await succeeded(session, at["queue_api"], last)
        finally:
            for task in (*waiting, looking):
                task.cancel()
            await asyncio.gather(*waiting, looking, return_exceptions=True)
    return found


async def said(program: Program, event: str) -> dict[str, Any]:
    while not (lines := program.lines(event)):
        program.check()
        await asyncio.sleep(0.05)
    return lines[0]


def address(program: Program) -> str:
    (line,) = program.lines("service_listening")
    return f"http://{line['host']}:{line['port']}"


async def enqueued(session: aiohttp.ClientSession, url: str, kind: str, number: int) -> list[str]:
    jobs = [{"type": kind, "payload": {}}] * number
    async with session.post(f"{url}/api/queue/jobs/batch", json={"jobs": jobs}) as answer:
        return [item["job"]["id"] for item in (await answer.json())["items"]]


async def poll(session: aiohttp.ClientSession, url: str, worker: str) -> None:
    """Waits for jobs that nobody makes, again and again."""
    body = {"workerId": worker, "leaseSeconds": 30, "allowedTypes": ["nothing"], "waitSeconds": 20}
    while True:
        async with session.post(f"{url}/api/queue/jobs/claim", json=body) as answer:
            await answer.read()


async def read(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url, headers={"Accept": "text/event-stream"}) as answer:
        async for _ in answer.content:
            pass


async def succeeded(session: aiohttp.ClientSession, url: str, job_id: str) -> None:
    while True:
        async with session.get(f"{url}/api/queue/jobs/{job_id}") as answer:
            if (await answer.json())["status"] == "succeeded":
                return
        await asyncio.sleep(0.2)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="sluicegate-sizing-") as folder:
        uvloop.run(measure(Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
