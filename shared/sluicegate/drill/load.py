"""The load: jobs of several kinds, at an even pace, each noted once the queue has acknowledged it."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

import uuid_utils

from sluicegate.client import Client
from sluicegate.drill.evidence import Acknowledged, Notes, now
from sluicegate.errors import RequestError, SluicegateError
from sluicegate.model import Job, NewJob

TICK_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 0.05
MAX_ATTEMPTS: Final = 20
"""A job that comes back goes first, so chance may let it meet several faults in a row."""
HOPELESS_ATTEMPTS: Final = 2
KINDS: Final = {"drill.brief": 90, "drill.command": 4, "drill.flaky": 4, "drill.hopeless": 2}
"""Types, by how often."""


class Producer:
    """Enqueues through the API: `jobs` in `seconds` or more, at that pace until it is told to stop.

    A call that failed, or whose answer was lost, is made again with the same ids until it is answered.
    """

    def __init__(
        self, client: Client, notes: Notes, dice: random.Random, *, jobs: int, seconds: float
    ) -> None:
        self._client = client
        self._notes = notes
        self._dice = dice
        self._jobs = jobs
        self._pace = jobs / seconds
        self._enough = asyncio.Event()
        self.acknowledged = 0

    def enough(self) -> None:
        self._enough.set()

    async def run(self) -> None:
        """Return when enough is acknowledged. Raises SluicegateError when a job is refused for good."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self._enough.is_set() or self.acknowledged < self._jobs:
            due = int(self._pace * (loop.time() - began)) - self.acknowledged
            if self._enough.is_set():
                due = self._jobs - self.acknowledged
            if due > 0:
                await self._put([self._new_job() for _ in range(due)])
            await asyncio.sleep(TICK_SECONDS)

    async def _put(self, jobs: list[NewJob]) -> None:
        while jobs:
            try:
                results = await self._client.enqueue_many(jobs)
            except SluicegateError as error:
                if isinstance(error, RequestError):
                    raise
                await asyncio.sleep(RETRY_SECONDS)
                continue
            jobs = [job for job, result in zip(jobs, results, strict=True) if not self._noted(job, result)]

    def _noted(self, job: NewJob, result: Job | SluicegateError) -> bool:
        """Whether it is acknowledged; False to send it again."""
        if isinstance(result, SluicegateError):
            if isinstance(result, RequestError):
                raise result
            return False
        outcome = "dead_letter" if job.type == "drill.hopeless" else "succeeded"
        self._notes.write(Acknowledged(result.id, outcome, now()))
        self.acknowledged += 1
        return True

    def _new_job(self) -> NewJob:
        (kind,) = self._dice.choices(list(KINDS), list(KINDS.values()))
        payload: dict[str, Any] = {}
        if kind == "drill.brief":
            payload["seconds"] = round(self._dice.triangular(0.0, 1.0, 0.0), 3)
        elif kind == "drill.command":
            payload["seconds"] = round(self._dice.uniform(0.3, 2.0), 3)
        return NewJob(
            id=str(uuid_utils.uuid7()),
            type=kind,
            payload=payload,
            priority=self._dice.choice((0, 0, 0, 5, -5)),
            max_attempts=HOPELESS_ATTEMPTS if kind == "drill.hopeless" else MAX_ATTEMPTS,
        )
