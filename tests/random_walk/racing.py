"""Workers, operators, a sweeper and a producer at once, on connections of their own, over a troubled network.

Each uses the store's functions as the services do. Every run of a script that reached the store is recorded
with its answer, also where the caller never got it; `linear` then looks for an order that explains them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Iterator
from typing import Any, Final

import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection

from sluicegate.errors import Conflict, OutcomeUnknown
from sluicegate.model import PauseScope, Policy
from sluicegate.store import (
    cancellation,
    claims,
    dead_letters,
    endings,
    jobs,
    narrow_pauses,
    pause,
    retention,
    sweeping,
)
from sluicegate.store.connection import Store
from sluicegate.store.scripts import Script
from tests.random_walk.calls import Call
from tests.random_walk.linear import Run
from tests.support.job_builder import HOUR_MS, JobBuilder

POLICY: Final = Policy()
PRIORITIES: Final = {"work": 0, "urgent": 5}
"""Apart, so that no order between lanes rests on who came first within a millisecond."""
NARROW: Final[list[tuple[PauseScope, str]]] = [("type", "work"), ("type", "urgent"), ("worker", "w2")]
TROUBLE: Final = 0.06
"""The share of calls that each kind of trouble befalls."""


class TroubledStore(Store):
    """The store over a network that loses requests and replies, and delivers some after their repeat."""

    runs: list[Run]
    dice: random.Random
    ticks: Iterator[int]
    late: set[asyncio.Task[None]]

    @contextlib.contextmanager
    def recording(self, dice: random.Random) -> Iterator[list[Run]]:
        self.runs, self.dice, self.ticks, self.late = [], dice, itertools.count(), set()
        try:
            yield self.runs
        finally:
            del self.runs

    async def settled(self) -> None:
        """Until nothing is under way any more."""
        while self.late:
            await asyncio.gather(*self.late)

    async def _evaluate(self, connection: AbstractConnection, chosen: Script, argv: list[Any]) -> Any:
        if chosen.reads or not hasattr(self, "runs"):
            return await super()._evaluate(connection, chosen, argv)
        trouble = self.dice.random() / TROUBLE
        if trouble < 1:
            raise redis_errors.ConnectionError("the request was lost")
        if trouble < 2:
            task = asyncio.create_task(self._later(chosen, argv))
            self.late.add(task)
            task.add_done_callback(self.late.discard)
            raise redis_errors.ConnectionError("the request is under way")
        reply = await self._recorded(connection, chosen, argv)
        if trouble < 3:
            raise redis_errors.ConnectionError("the reply was lost")
        return reply

    async def _later(self, chosen: Script, argv: list[Any]) -> None:
        async with self.blocking() as connection:
            # Long enough for the repeat, which waits 20 ms, to come first now and then.
            await asyncio.sleep(self.dice.random() / 20)
            await self._recorded(connection, chosen, argv)

    async def _recorded(self, connection: AbstractConnection, chosen: Script, argv: list[Any]) -> Any:
        began = next(self.ticks)
        reply = await super()._evaluate(connection, chosen, argv)
        answer = reply[1:] if reply[0] == "OK" else reply
        self.runs.append(Run(Call.of(chosen, argv), answer, began, next(self.ticks)))
        return reply


class Race:
    """One round: who takes part, and what they do with which luck."""

    def __init__(self, store: TroubledStore, seed: int) -> None:
        self.store = store
        self.dice = random.Random(seed)
        self.builder = JobBuilder(store)
        self.requests = itertools.count(1)
        self.submissions = [
            self.builder.submission(kind, priority=PRIORITIES[kind], max_attempts=self.dice.choice([1, 2]))
            for kind in self.dice.choices(("work", "urgent"), (3, 1), k=self.dice.choice([2, 3, 4]))
        ]
        self.ids = [each.id for each in self.submissions]

    async def run(self) -> list[Run]:
        """What reached the store, in no order yet."""
        with self.store.recording(self.dice) as runs:
            await jobs.enqueue(self.store, self.submissions[:2])
            async with asyncio.TaskGroup() as group:
                for part in (self._produce(), self._sweep(), self._operate("ann"), self._operate("bob")):
                    group.create_task(part)
                for worker in ("w1", "w2", "w3"):
                    group.create_task(self._work(worker))
            await self.store.settled()
            return runs

    async def _produce(self) -> None:
        """Every job, the first ones once more, as after a lost reply."""
        for each in self.submissions:
            await self._pause_for_breath()
            await jobs.enqueue(self.store, [each])

    async def _work(self, worker: str) -> None:
        for _ in range(3):
            opened = await claims.open_attempts(
                self.store, POLICY, worker_id=worker, lease_ms=self.dice.choice([0, HOUR_MS]),
                limit=self.dice.choice([1, 2]), request_id=f"{worker}-{next(self.requests)}",
            )  # fmt: skip
            await self._pause_for_breath()
            for attempt in opened.attempts:
                await self._attempt(worker, attempt.job_id, attempt.token)

    async def _attempt(self, worker: str, job_id: str, token: int) -> None:
        """Renew, and end it in some way, in another way after all, or not at all, heeding no answer."""
        ways: list[endings.Ending] = [
            endings.Complete(job_id, token),
            endings.Fail(job_id, token, "broken"),
            endings.Fail(job_id, token, "no use", retryable=False),
            endings.Release(job_id, token),
            endings.Cancelled(job_id, token),
        ]
        for _ in range(self.dice.choice([0, 0, 1, 2])):
            await claims.renew(
                self.store, worker, [claims.Lease(job_id, token, self.dice.choice([0, HOUR_MS]))]
            )
            await self._pause_for_breath()
        for ending in self.dice.sample(ways, self.dice.choice([0, 1, 1, 2])):
            await endings.settle(self.store, worker, [ending])
            await self._pause_for_breath()

    async def _operate(self, actor: str) -> None:
        acts = [self._cancel, self._redrive, self._redrive, self._purge, self._change_pause]
        for act in self.dice.sample([*acts, self._pause_some], 5):
            await self._pause_for_breath()
            await act(actor)

    async def _cancel(self, actor: str) -> None:
        await cancellation.cancel_many(self.store, self._some(), actor=actor)

    async def _redrive(self, actor: str) -> None:
        await dead_letters.redrive(self.store, self._some(), actor=actor)

    async def _purge(self, actor: str) -> None:
        chosen = self._some()
        refused = await dead_letters.condemn(self.store, chosen, actor=actor)
        await self._pause_for_breath()
        left = [job_id for job_id, error in zip(chosen, refused, strict=True) if error is None]
        await retention.remove(self.store, "dead_letter", left)

    async def _change_pause(self, actor: str) -> None:
        """Pause and resume, each on the strength of a look some time before; the loser of a race gives up."""
        for change in (self._pause, self._resume):
            seen = (await pause.read(self.store)).version
            await self._pause_for_breath()
            with contextlib.suppress(Conflict, OutcomeUnknown):
                await change(actor, self.dice.choice([None, seen, seen]))
        # Whatever happened, nobody leaves the workers paused.
        with contextlib.suppress(Conflict, OutcomeUnknown):
            await self._resume(actor, None)

    async def _pause(self, actor: str, expected: int | None) -> None:
        await pause.change(
            self.store, action="pause", mode="drain", reason="upgrade", actor=actor, expected_version=expected
        )

    async def _resume(self, actor: str, expected: int | None) -> None:
        force = self.dice.choice([True, False])
        await pause.change(self.store, action="resume", actor=actor, force=force, expected_version=expected)

    async def _pause_some(self, actor: str) -> None:
        """Some of the jobs, or one of the workers, for a while."""
        scope, value = self.dice.choice(NARROW)
        held: dict[str, Any] = {"scope": scope, "value": value, "actor": actor}
        asked = {"mode": "drain", "reason": "repair", "expected_version": self.dice.choice([None, 0])}
        with contextlib.suppress(Conflict, OutcomeUnknown):
            await narrow_pauses.change(self.store, **held, action="pause", **asked)
        await self._pause_for_breath()
        with contextlib.suppress(Conflict, OutcomeUnknown):
            await narrow_pauses.change(self.store, **held, action="resume")

    async def _sweep(self) -> None:
        for _ in range(6):
            await self._pause_for_breath()
            await sweeping.expire_leases(self.store, self.dice.choice([1, 2]))

    def _some(self) -> list[str]:
        return self.dice.sample(self.ids, self.dice.randint(1, len(self.ids)))

    async def _pause_for_breath(self) -> None:
        await asyncio.sleep(self.dice.choice([0, 0, 0, 0.001]))
