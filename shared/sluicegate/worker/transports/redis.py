"""The trusted way: straight to the store, woken by its streams."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, Literal, Self

from msgspec import structs

from sluicegate import artifacts
from sluicegate.errors import RequestError
from sluicegate.model import LiveControl, OperatorMessage, Policy
from sluicegate.repositories import canonical
from sluicegate.settings import WorkerSettings
from sluicegate.store import (
    claims,
    controls,
    endings,
    events,
    live_sessions,
    messages,
    shelves,
    terminals,
    workers,
)
from sluicegate.store.bells import Bells
from sluicegate.store.connection import Store
from sluicegate.store.control_feed import Control, ControlFeed
from sluicegate.store.streams import Streams
from sluicegate.worker.transports import Found, LiveReport

SAFETY_POLL_SECONDS: Final = 2.0
"""Nothing is lost when a bell is: this often a claim that waits looks by itself."""


class RedisTransport:
    """A worker inside the trust boundary. One per event loop."""

    name: Literal["redis", "http"] = "redis"

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self.worker_id = settings.identity
        self._woken = False
        self._files = artifacts.open_store(settings)
        self._controls: ControlFeed | None = None

    def sibling(self) -> Self:
        return type(self)(self._settings)

    async def open(self) -> None:
        self._store = await Store.open(self._settings)
        self._bells = Bells(self._store)
        self._streams = Streams(self._store)

    async def close(self) -> None:
        if self._controls is not None:
            await self._controls.stop()
        await self._bells.close()
        await self._streams.close()
        await self._store.close()

    async def claim(
        self, policy: Policy, *, lease_ms: int, limit: int, request_id: str, wait_seconds: float
    ) -> Found:
        self._woken = False
        policy = self._comparable(policy)
        deadline = time.monotonic() + wait_seconds
        while True:
            began = time.monotonic()
            opened = await claims.open_attempts(
                self._store,
                policy,
                worker_id=self.worker_id,
                lease_ms=lease_ms,
                limit=limit,
                request_id=request_id,
            )
            now = time.monotonic()
            # A paused worker must not wait for a bell: it would hear those that others are to hear.
            paused = opened.system.workers_paused or opened.pause is not None
            if opened.attempts or paused or self._woken or now >= deadline:
                return Found(opened.attempts, opened.system, now - began, opened.pause)
            await self._bells.wait(policy, min(deadline - now, _look_in(opened)))

    def wake(self) -> None:
        self._woken = True
        self._bells.wake_all()

    def _comparable(self, policy: Policy) -> Policy:
        """Repositories in the one form in which they are compared (70-17)."""
        if not policy.repositories:
            return policy
        named = [
            canonical(each, self._settings, path="SLUICEGATE_WORKER_REPOSITORIES")
            for each in policy.repositories
        ]
        return structs.replace(policy, repositories=tuple(named))

    async def renew(self, leases: Sequence[claims.Lease]) -> claims.Renewal:
        return await claims.renew(self._store, self.worker_id, leases)

    async def settle(self, ended: Sequence[endings.Ending]) -> list[RequestError | None]:
        return await endings.settle(self._store, self.worker_id, ended)

    async def append_events(self, appends: Sequence[events.Append]) -> list[RequestError | None]:
        outcomes = await events.append_many(self._store, self.worker_id, appends)
        return [each if isinstance(each, RequestError) else None for each in outcomes]

    async def watch(self, deliver: Callable[[Control], None]) -> None:
        self._controls = ControlFeed(self._store, deliver)
        await self._controls.start()

    async def answer_control(
        self,
        job_id: str,
        token: int,
        what: controls.Matter,
        request_id: str,
        outcome: controls.Outcome,
        message: str | None,
    ) -> LiveControl | None:
        return await controls.answer(
            self._store, self.worker_id, job_id, token, what=what, request_id=request_id, outcome=outcome,
            message=message,
        )  # fmt: skip

    async def messages(self, job_id: str, after: str | None) -> tuple[list[OperatorMessage], str | None]:
        return await messages.after(self._store, job_id, after)

    async def report_live(self, job_id: str, token: int, report: LiveReport) -> live_sessions.Known | None:
        return await live_sessions.report(
            self._store, self.worker_id, job_id, token, report.status, provider=report.provider,
            ways=report.ways, host=socket.gethostname(), error=report.error,
        )  # fmt: skip

    async def renew_live(self, job_id: str, token: int) -> live_sessions.Known | None:
        return await live_sessions.renew(self._store, self.worker_id, job_id, token)

    async def save_step(self, job_id: str, token: int, checkpoint: shelves.StepCheckpoint) -> None:
        await shelves.save_step(self._store, self.worker_id, job_id, token, checkpoint)

    async def steps(self, job_id: str) -> list[shelves.StepCheckpoint]:
        return await shelves.steps(self._store, job_id)

    async def state_fact(self, job_id: str, token: int, name: str, value: str) -> str:
        return await shelves.state_fact(self._store, self.worker_id, job_id, token, name, value)

    async def drop_steps(self, job_id: str, token: int, first: int) -> None:
        await shelves.drop_steps(self._store, self.worker_id, job_id, token, first)

    async def change_fact(self, job_id: str, token: int, name: str, value: str) -> None:
        await shelves.change_fact(self._store, self.worker_id, job_id, token, name, value)

    async def facts(self, job_id: str) -> dict[str, str]:
        return await shelves.facts(self._store, job_id)

    async def put_artifact(
        self, job_id: str, token: int, name: str, content: bytes | Path, content_type: str
    ) -> shelves.Artifact:
        return await artifacts.keep(
            self._store,
            self._files,
            name,
            _chunks(content),
            job_id=job_id,
            worker_id=self.worker_id,
            lease_token=token,
            limit=artifacts.limit_of(name, self._settings),
            content_type=content_type,
        )

    async def get_artifact(self, artifact: shelves.Artifact, target: Path) -> None:
        with await asyncio.to_thread(target.open, "wb") as file:
            async for chunk in self._files.read(artifact.job_id, artifact.id, artifact.digest):
                await asyncio.to_thread(file.write, chunk)

    async def artifacts(self, job_id: str) -> list[shelves.Artifact]:
        return await shelves.artifacts(self._store, job_id)

    async def show_terminal(
        self, job_id: str, token: int, pieces: Sequence[terminals.Piece], typed: str
    ) -> terminals.Shown:
        return await terminals.show(self._store, self.worker_id, job_id, token, pieces, typed=typed)

    async def hear_typed(
        self, job_id: str, token: int, place: str, deliver: Callable[[terminals.Typed], None]
    ) -> None:
        async with terminals.follow_typed(self._streams, job_id, token, place, deliver):
            await asyncio.get_running_loop().create_future()

    async def announce(self, presence: workers.Presence) -> None:
        await workers.announce(self._store, presence)

    async def depart(self) -> None:
        await workers.depart(self._store, self.worker_id)


def _look_in(opened: claims.Opened) -> float:
    """Seconds until the next delayed job is due, by the store's clock; at most until the safety poll."""
    if opened.next_due_ms is None:
        return SAFETY_POLL_SECONDS
    return min(SAFETY_POLL_SECONDS, max(0.0, (opened.next_due_ms - opened.now_ms) / 1000))


async def _chunks(content: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    else:
        async for chunk in artifacts.chunks_of(content):
            yield chunk
