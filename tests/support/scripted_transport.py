"""A transport to a queue that a test plays: it holds what was sent, and fails when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from sluicegate.errors import RequestError
from sluicegate.model import LiveControl, Policy, SystemState
from sluicegate.store.claims import Attempt, Lease, Renewal, Wishes
from sluicegate.store.control_feed import Control
from sluicegate.store.controls import Matter, Outcome
from sluicegate.store.endings import Ending
from sluicegate.store.events import Append
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.store.workers import Presence
from sluicegate.worker.transports import Found

RUNNING = SystemState(workers_paused=False, version=1)
Answer = Found | Exception


def claimed(job_id: str = "job-1", token: int = 1, **fields: str) -> Attempt:
    """An attempt as a claim returns it. fields: as stored, like max_run_ms."""
    stored = {"status": "queued", "lane": "0|work|||", "spec": '{"type":"work"}', "created_at": "1"} | fields
    return Attempt(job_id, [text for pair in stored.items() for text in pair], token, "1000", "worker-1", 1)


def found(*attempts: Attempt, system: SystemState = RUNNING, seconds: float = 0.0) -> Found:
    return Found(attempts, system, seconds)


class ScriptedTransport:
    """faults: raised by the next calls of that name. hold: while it is clear, calls that write wait."""

    name: Literal["redis", "http"] = "redis"
    worker_id = "worker-1"

    def __init__(self) -> None:
        self.faults: dict[str, deque[Exception]] = {}
        self.hold = asyncio.Event()
        self.hold.set()
        self.writing = 0
        self.sent: list[Append | Ending] = []
        self.refusals: dict[str, RequestError] = {}
        self.answers: deque[Answer] = deque()
        self.requests: list[tuple[int, str]] = []
        self.policies: list[Policy] = []
        self.waits: list[float] = []
        self.renewed: list[list[Lease]] = []
        self.wishes: dict[str, Wishes | RequestError] = {}
        self.system = RUNNING
        self.announced: list[Presence] = []
        self.opened = self.closed = 0
        self._woken = asyncio.Event()

    def fail(self, call: str, *errors: Exception) -> None:
        self.faults.setdefault(call, deque()).extend(errors)

    def _maybe_fail(self, call: str) -> None:
        if faults := self.faults.get(call):
            raise faults.popleft()

    def sibling(self) -> Self:
        return self

    async def open(self) -> None:
        self._maybe_fail("open")
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1

    async def claim(
        self, policy: Policy, *, lease_ms: int, limit: int, request_id: str, wait_seconds: float
    ) -> Found:
        self.requests.append((limit, request_id))
        self.policies.append(policy)
        self._woken.clear()
        await self._pass()
        self._maybe_fail("claim")
        if self.answers:
            answer = self.answers.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer
        if wait_seconds > 0 and not self.system.workers_paused:
            self.waits.append(wait_seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._woken.wait()
        return found(system=self.system)

    def wake(self) -> None:
        self._woken.set()

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        self.renewed.append(list(leases))
        self._maybe_fail("renew")
        held = Wishes(0, None, None, None, None)
        return Renewal([self.wishes.get(lease.job_id, held) for lease in leases], self.system, 0)

    async def settle(self, endings: Sequence[Ending]) -> list[RequestError | None]:
        await self._pass()
        self._maybe_fail("settle")
        self.sent += endings
        return [self.refusals.get(ending.job_id) for ending in endings]

    async def append_events(self, appends: Sequence[Append]) -> list[RequestError | None]:
        await self._pass()
        self._maybe_fail("append_events")
        self.sent += appends
        return [self.refusals.get(append.job_id) for append in appends]

    async def _pass(self) -> None:
        self.writing += 1
        try:
            await self.hold.wait()
        finally:
            self.writing -= 1
        await asyncio.sleep(0)

    async def watch(self, deliver: Callable[[Control], None]) -> None:
        self._maybe_fail("watch")

    async def announce(self, presence: Presence) -> None:
        self.announced.append(presence)

    async def depart(self) -> None: ...

    async def answer_control(
        self, job_id: str, token: int, what: Matter, request_id: str, outcome: Outcome, message: str | None
    ) -> LiveControl | None:
        raise NotImplementedError

    async def save_step(self, job_id: str, token: int, checkpoint: StepCheckpoint) -> None:
        raise NotImplementedError

    async def steps(self, job_id: str) -> list[StepCheckpoint]:
        raise NotImplementedError

    async def state_fact(self, job_id: str, token: int, name: str, value: str) -> str:
        raise NotImplementedError

    async def put_artifact(
        self, job_id: str, token: int, name: str, content: bytes | Path, content_type: str
    ) -> Artifact:
        raise NotImplementedError

    async def get_artifact(self, artifact: Artifact, target: Path) -> None:
        raise NotImplementedError

    async def artifacts(self, job_id: str) -> list[Any]:
        raise NotImplementedError
