"""A store of one's own in a temporary folder and what runs on it; all gone when the block ends."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import uuid_utils

from benchmarks.programs import Program, running, until
from benchmarks.wire import Wire
from sluicegate.client import Client
from sluicegate.dev.embedded_store import EmbeddedStore, free_port
from sluicegate.errors import RequestError, SluicegateError
from sluicegate.model import Counts, NewJob
from sluicegate.operations.jobs import prepare
from sluicegate.settings import Settings
from sluicegate.store import Store, jobs, workers

STORE_CONFIG: Final = {
    # Synced every second, as shipped; not rewritten in between: when a rewrite comes depends on what was
    # measured before, and it takes a core for itself.
    "appendfsync": "everysec",
    "auto-aof-rewrite-percentage": "0",
}
MAX_QUEUED: Final = 2_000_000
FILL: Final = 100
FILLED_AT_ONCE: Final = 2
"""One that the store works on, and one that it finds when it is done."""
R = TypeVar("R")


class Rig:
    """Used in `with`, from the main thread: the store ends with the thread that started it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sluicegate-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._server = EmbeddedStore(self.folder, extra_config=STORE_CONFIG)

    def __enter__(self) -> Self:
        try:
            self._server.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nobody reads its data again: an orderly end would only write it out.
        self._server.kill()
        self._folder.cleanup()

    @property
    def settings(self) -> Settings:
        return Settings(
            redis_url=self._server.url,
            data_dir=self.folder / "data",
            max_queued=MAX_QUEUED,
            allow_local_repositories=True,
        )

    def wire(self) -> Wire:
        return Wire(self._server.port)

    def client(self) -> Client:
        """What a producer inside the trust boundary uses."""
        return Client.from_redis(self._server.url, settings=self.settings)

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        store = await Store.open(self.settings)
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def workers(
        self,
        *,
        slots: int,
        each: int = 1,
        processes: int = 1,
        url: str | None = None,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[list[Program]]:
        """Measured workers, `each` of them in every process, all known to the store.

        url: the queue_api through which they work, else beside the store. settings: variables without their
        prefix. environment: further variables, as they are.
        """
        async with contextlib.AsyncExitStack() as stack, self.store() as store:
            environment = {
                **(environment or {}),
                "SLUICEGATE_WORKER_CONCURRENCY": str(slots),
                # Interrupted, nobody wants to wait for jobs that would run for ever.
                "SLUICEGATE_WORKER_SHUTDOWN_SECONDS": "0",
                "BENCH_WORKERS": str(each),
                **({} if url is None else {"SLUICEGATE_URL": url}),
                **{f"SLUICEGATE_{key}": value for key, value in (settings or {}).items()},
            }
            before = len(await workers.listing(store))
            started = [
                await stack.enter_async_context(self.program("benchmarks.measured_worker", environment))
                for _ in range(processes)
            ]

            async def all_there() -> bool:
                return len(await workers.listing(store)) >= before + each * processes

            await until(all_there, "the workers are there", *started, every_seconds=0.1)
            yield started

    @contextlib.asynccontextmanager
    async def service(self, name: str, **settings: str) -> AsyncIterator[str]:
        """The address of `services.<name>`, an HTTP service, once it is ready."""
        async with self.service_process(name, **settings) as (_, url):
            yield url

    @contextlib.asynccontextmanager
    async def service_process(self, name: str, **settings: str) -> AsyncIterator[tuple[Program, str]]:
        """The same with its process. settings: variables without their prefix."""
        environment = {f"SLUICEGATE_{key}": value for key, value in settings.items()}
        port_variable = f"SLUICEGATE_{name.upper()}_PORT"
        async with self._listening(f"services.{name}", port_variable, environment) as listening:
            yield listening

    @contextlib.asynccontextmanager
    async def bare_http(self) -> AsyncIterator[str]:
        """The address of an aiohttp that does nothing: what a service is set beside."""
        async with self._listening("benchmarks.bare_http", "BENCH_PORT", {}) as (_, url):
            yield url

    @contextlib.asynccontextmanager
    async def _listening(
        self, module: str, port_variable: str, environment: dict[str, str]
    ) -> AsyncIterator[tuple[Program, str]]:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        async with (
            self.program(module, {port_variable: str(port), **environment}) as program,
            aiohttp.ClientSession() as session,
        ):

            async def ready() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{url}/readyz") as response:
                        return response.status == 200
                return False

            await until(ready, f"{module} is ready", program)
            yield program, url

    def program(
        self, module: str, environment: dict[str, str]
    ) -> contextlib.AbstractAsyncContextManager[Program]:
        own = {
            "SLUICEGATE_REDIS_URL": self._server.url,
            "SLUICEGATE_DATA_DIR": str(self.folder / "data"),
            "SLUICEGATE_MAX_QUEUED": str(MAX_QUEUED),
            "SLUICEGATE_METRICS_PORT": "0",
        }
        return running(module, own | environment, self.folder)


async def fill(store: Store, number: int, job_type: str = "noop") -> list[str]:
    """Queue jobs as fast as may be, past the client; their ids, the first in the queue first.

    Behind the first hundred, neighbouring hundreds may change places.
    """
    ids: list[str] = []
    sending: list[asyncio.Task[list[jobs.Enqueued | RequestError]]] = []
    try:
        while len(ids) < number:
            batch = [
                prepare(_named(job_type), actor="bench", settings=store.settings)
                for _ in range(min(FILL, number - len(ids)))
            ]
            # The first hundred goes in alone, so that its first job is the first in the queue.
            if len(sending) == FILLED_AT_ONCE or len(ids) == FILL:
                accepted(await sending.pop(0))
            ids += [each.id for each in batch]
            # The store takes these while the next ones are made.
            sending.append(asyncio.create_task(jobs.enqueue(store, batch)))
            await asyncio.sleep(0)
        for each in await asyncio.gather(*sending):
            accepted(each)
        return ids
    finally:
        for task in sending:
            task.cancel()


def accepted(results: Sequence[R | SluicegateError]) -> list[R]:
    """Raises the first refusal: what was not accepted was not measured either."""
    for each in results:
        if isinstance(each, SluicegateError):
            raise each
    return list(results)  # type: ignore[arg-type]


async def finished(store: Store, number: int, *programs: Program, seconds: float = 60.0) -> None:
    """Return once `number` jobs have succeeded and none waits or runs."""

    async def done() -> bool:
        counts: Counts = await jobs.counts(store)
        return counts.succeeded >= number and not (counts.queued or counts.delayed or counts.running)

    await until(done, f"{number} jobs succeed", *programs, seconds=seconds, every_seconds=0.05)


def _named(job_type: str) -> NewJob:
    return NewJob(type=job_type, id=str(uuid_utils.uuid7()))
