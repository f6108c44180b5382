"""Both ways of a worker to the queue: straight to the store, and through a queue_api in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pytest
import uuid_utils

from services.queue_api.app import build
from services.worker.task.handler import run_task
from sluicegate.errors import StoreUnavailable
from sluicegate.http import serving
from sluicegate.model import Job, Policy
from sluicegate.settings import QueueApiSettings, Settings, WorkerSettings
from sluicegate.store import Store, jobs
from sluicegate.store.claims import Lease, Renewal, Wishes
from sluicegate.store.control_feed import Control
from sluicegate.worker import Worker
from sluicegate.worker.transports import Claimed, Found, Transport
from sluicegate.worker.transports.http import HttpTransport
from sluicegate.worker.transports.redis import RedisTransport
from tests.support.job_builder import JobBuilder
from tests.support.origin import Origin
from tests.support.wait import until

Hearing = Literal["hearing", "deaf", "unaware", "unwatchable"]
ME: Final = "worker-1"
WORK: Final = Policy(types=("work",))
GONE = "redis://127.0.0.1:1/0"
"""A store that a remote worker could not reach if it tried."""


class Way:
    """One way to the queue. `url` is None for the way straight to the store."""

    def __init__(self, settings: Settings, url: str | None) -> None:
        self._settings = settings
        self.url = url

    @property
    def name(self) -> str:
        return "redis" if self.url is None else "http"

    def settings(self, worker_id: str = ME, **changes: Any) -> WorkerSettings:
        """A worker's settings on this way; a remote one knows no store and no shared folder."""
        rules = msgspec.structs.asdict(self._settings) | {"worker_id": worker_id}
        rules["worker_dir"] = self._settings.data_dir / worker_id
        if self.url is not None:
            rules |= {"url": self.url, "redis_url": GONE, "data_dir": rules["worker_dir"]}
        return WorkerSettings(**{**rules, **changes})

    def transport(self, settings: WorkerSettings, hearing: Hearing = "hearing") -> Transport:
        """deaf: hears no push, neither of a cancel nor of a resume. unaware: nor of a cancel by heartbeat."""
        made = RedisTransport(settings) if self.url is None else HttpTransport(settings)
        if hearing != "hearing":
            made.watch = _unwatchable if hearing == "unwatchable" else _deaf  # type: ignore[method-assign]
        if hearing == "unaware":
            _keep_unaware(made)
        return made

    def worker(self, hearing: Hearing = "hearing", **changes: Any) -> Worker:
        settings = self.settings(**changes)
        return Worker(settings, self.transport(settings, hearing))


async def _deaf(deliver: Callable[[Control], None]) -> None:
    await asyncio.sleep(0)


def _keep_unaware(made: Any) -> None:
    make = made.sibling

    def sibling() -> Any:
        beating = make()
        renew = beating.renew

        async def renew_only(leases: Sequence[Lease]) -> Renewal:
            renewal: Renewal = await renew(leases)
            unasked = [
                each._replace(cancel_requested_at_ms=None) if isinstance(each, Wishes) else each
                for each in renewal.items
            ]
            return renewal._replace(items=unasked)

        beating.renew = renew_only
        return beating

    made.sibling = sibling


async def _unwatchable(deliver: Callable[[Control], None]) -> None:
    raise StoreUnavailable("the store went away just now")


@pytest.fixture(params=["redis", pytest.param("http", marks=pytest.mark.slow)])
async def way(request: pytest.FixtureRequest, store: Store, settings: Settings) -> AsyncIterator[Way]:
    """Every test that takes it runs over both transports, with one and the same expectation; over HTTP
    it takes longer."""
    async with AsyncExitStack() as stack:
        url = None
        if request.param == "http":
            served = QueueApiSettings(**msgspec.structs.asdict(settings))
            host, port = await stack.enter_async_context(serving(build(served, store), "127.0.0.1", 0))
            url = f"http://{host}:{port}"
        yield Way(settings, url)


@pytest.fixture
async def transport(way: Way) -> AsyncIterator[Transport]:
    opened = way.transport(way.settings(worker_id=ME))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "remote")


@pytest.fixture
def make(store: Store) -> JobBuilder:
    return JobBuilder(store)


async def claimed(
    transport: Transport, *, wait: float = 0.0, limit: int = 1, request: str = "r-1", policy: Policy = WORK
) -> Found:
    return await transport.claim(policy, lease_ms=30_000, limit=limit, request_id=request, wait_seconds=wait)


async def held(transport: Transport, make: JobBuilder, **described: Any) -> Claimed:
    """An attempt that this worker holds."""
    await make.waiting(**described)
    (attempt,) = (await claimed(transport, request=str(uuid_utils.uuid7()))).attempts
    return attempt


@asynccontextmanager
async def working(
    way: Way, name: str, capabilities: tuple[str, ...] = ("git", "shell"), **changes: Any
) -> AsyncIterator[Worker]:
    """A worker that runs tasks, stopped in order when left."""
    worker = way.worker(
        worker_id=name,
        worker_capabilities=capabilities,
        worker_shutdown_seconds=0.1,
        stop_sigint_grace_seconds=0.2,
        stop_sigterm_grace_seconds=0.2,
        **changes,
    )
    worker.handler("task")(run_task)
    running = asyncio.create_task(worker.run(handle_signals=False))
    try:
        yield worker
    finally:
        worker.stop()
        await running


async def ended(store: Store, job: Job) -> Job:
    async def look() -> Job | None:
        found = await jobs.get(store, job.id)
        return found if found.terminal else None

    return await until(look, f"the end of {job.id}", timeout=60)
