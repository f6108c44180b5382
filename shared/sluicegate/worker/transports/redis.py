"""The trusted way: straight to the store, woken by its streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Literal, Self

from sluicegate import artifacts
from sluicegate.errors import RequestError
from sluicegate.model import Event, Job, Policy
from sluicegate.settings import WorkerSettings
from sluicegate.store import claims, endings, events, jobs, shelves, workers
from sluicegate.store.bells import Bells
from sluicegate.store.connection import Store
from sluicegate.store.control_feed import Control, ControlFeed


class RedisTransport:
    """A worker inside the trust boundary. One per event loop."""

    name: Literal["redis", "http"] = "redis"

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._worker_id = settings.identity
        self._files = artifacts.open_store(settings)
        self._controls: ControlFeed | None = None

    def sibling(self) -> Self:
        return type(self)(self._settings)

    async def open(self) -> None:
        self._store = await Store.open(self._settings)
        self._bells = Bells(self._store)

    async def close(self) -> None:
        if self._controls is not None:
            await self._controls.stop()
        await self._bells.close()
        await self._store.close()

    async def claim(self, policy: Policy, *, lease_ms: int, limit: int, request_id: str) -> claims.Opened:
        return await claims.open_attempts(
            self._store,
            policy,
            worker_id=self._worker_id,
            lease_ms=lease_ms,
            limit=limit,
            request_id=request_id,
        )

    async def wait_for_work(self, policy: Policy, timeout_seconds: float) -> bool:
        return await self._bells.wait(policy, timeout_seconds)

    def wake(self) -> None:
        self._bells.wake_all()

    async def renew(self, leases: Sequence[claims.Lease]) -> claims.Renewal:
        return await claims.renew(self._store, self._worker_id, leases)

    async def settle(self, ended: Sequence[endings.Ending]) -> list[RequestError | None]:
        return await endings.settle(self._store, self._worker_id, ended)

    async def append_events(self, appends: Sequence[events.Append]) -> list[Event | RequestError | None]:
        return await events.append_many(self._store, self._worker_id, appends)

    async def watch(self, deliver: Callable[[Control], None]) -> None:
        self._controls = ControlFeed(self._store, deliver)
        await self._controls.start()

    async def job(self, job_id: str) -> Job:
        return await jobs.get(self._store, job_id)

    async def save_step(self, job_id: str, token: int, checkpoint: shelves.StepCheckpoint) -> None:
        await shelves.save_step(self._store, self._worker_id, job_id, token, checkpoint)

    async def steps(self, job_id: str) -> list[shelves.StepCheckpoint]:
        return await shelves.steps(self._store, job_id)

    async def state_fact(self, job_id: str, token: int, name: str, value: str) -> str:
        return await shelves.state_fact(self._store, self._worker_id, job_id, token, name, value)

    async def put_artifact(
        self, job_id: str, token: int, name: str, content: bytes | Path, content_type: str
    ) -> shelves.Artifact:
        limit = self._settings.max_artifact_bytes
        if name.startswith("patches/"):
            limit = self._settings.max_patch_bytes
        return await artifacts.keep(
            self._store,
            self._files,
            name,
            _chunks(content),
            job_id=job_id,
            worker_id=self._worker_id,
            lease_token=token,
            limit=limit,
            content_type=content_type,
        )

    async def get_artifact(self, artifact: shelves.Artifact, target: Path) -> None:
        with await asyncio.to_thread(target.open, "wb") as file:
            async for chunk in self._files.read(artifact.job_id, artifact.digest):
                await asyncio.to_thread(file.write, chunk)

    async def artifacts(self, job_id: str) -> list[shelves.Artifact]:
        return await shelves.artifacts(self._store, job_id)

    async def announce(self, presence: workers.Presence) -> None:
        await workers.announce(self._store, presence)

    async def depart(self) -> None:
        await workers.depart(self._store, self._worker_id)


async def _chunks(content: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    else:
        async for chunk in artifacts.chunks_of(content):
            yield chunk
