"""The load: jobs of several kinds, at an even pace, each noted once the queue has acknowledged it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
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


class Pace:
    """How much of a drill is over: it has stages of about so many seconds, and goes on with `step`.

    A stage that takes longer, as on a busy machine, ends no sooner: the load goes by this.
    """

    def __init__(self, stages: Sequence[float]) -> None:
        self._stages = stages
        self._number = 0
        self._since = now()

    def step(self) -> None:
        self._number += 1
        self._since = now()

    @property
    def share(self) -> float:
        over = sum(self._stages[: self._number])
        if self._number < len(self._stages):
            over += min(now() - self._since, self._stages[self._number])
        return over / sum(self._stages)


class Producer:
    """Enqueues so many jobs through the API, each when its share of the drill is over.

    A call that failed, or whose answer was lost, is made again with the same ids until it is answered.
    """

    def __init__(self, client: Client, notes: Notes, dice: random.Random, *, jobs: int, pace: Pace) -> None:
        self._client = client
        self._notes = notes
        self._dice = dice
        self._jobs = jobs
        self._pace = pace
        self.acknowledged = 0

    async def run(self) -> None:
        """Return when all are acknowledged. Raises SluicegateError when a job is refused for good."""
        while self.acknowledged < self._jobs:
            due = int(self._jobs * self._pace.share) - self.acknowledged
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
            max_attempts=HOPELESS_ATTEMPTS if kind == "drill.hopeless" else MAX_ATTEMPTS,
        )
