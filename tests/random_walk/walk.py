"""A random walk through the life of jobs: each step is done in the store and in the model, then compared.

Time is real, since leases, scores and event ids all hang on the store's own clock: a faked one would test
scripts that nobody runs. Waits are 1 ms or an hour, and each step ends once the short ones have passed, so
that the store and the model never disagree about what is over.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uuid_utils
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sluicegate import keys
from sluicegate.limits import Limits
from sluicegate.model import TERMINAL, Policy
from sluicegate.store import (
    claims,
    invariants,
    jobs,
    limits,
    pause,
    repair,
    sweeping,
)
from sluicegate.store.connection import Store
from sluicegate.store.rendering import fields
from tests.random_walk import comparison
from tests.random_walk.model import Model, ModelJob
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms, past

POLICIES: Final = [
    *[Policy(capabilities=("gpu",))] * 4,
    Policy(),
    Policy(types=("a",)),
    Policy(types=("a", "b"), capabilities=("gpu",)),
    Policy(repositories=("host/r",)),
    Policy(types=()),
]
Setting = tuple[dict[str, int], dict[str, int]]
"""Of types and of repositories; an affinity key always means one."""
SETTINGS: Final[list[Setting]] = [
    ({}, {}),
    ({"a": 1}, {}),
    ({}, {"*": 1}),
    ({"a": 2, "b": 1}, {"host/r": 2, "*": 1}),
]
ENDED: Final = sorted(TERMINAL)
MOST_RELEASES: Final = 1
SHORT_MS: Final = 1

Newcomer = tuple[dict[str, Any], int | None, str | None]
"""Body, delay in ms, idempotency key."""

workers = st.sampled_from(["w1", "w2"])
holders = st.sampled_from([*[""] * 6, "w1", "w2"])
tokens = st.sampled_from([*[0] * 7, -1, 1])
waits = st.sampled_from([0, SHORT_MS, HOUR_MS])
picks = st.integers(0, 11)
maybe = st.booleans()
mostly = st.sampled_from([True, True, True, False])
beliefs = st.sampled_from(["", "", "queued"])
held_picks = st.integers(0, 3)
bodies = st.fixed_dictionaries(
    {
        "type": st.sampled_from("ab"),
        "priority": st.sampled_from([0, 0, 0, 0, 5, -3]),
        "repository": st.sampled_from([None, None, "host/r", "host/s"]),
        "affinity_key": st.sampled_from([None, None, None, "k", "l"]),
        "capabilities": st.sampled_from([(), (), (), ("gpu",)]),
        "max_attempts": st.sampled_from([1, 2, 3]),
        "max_run_ms": st.sampled_from([None, None, None, SHORT_MS]),
    }
)
newcomers = st.tuples(
    bodies, st.sampled_from([None, None, SHORT_MS, HOUR_MS]), st.sampled_from([None, None, "k1", "k2"])
)


class Walk(RuleBasedStateMachine):
    """Subclasses give the store and a runner for its loop."""

    store: Store
    runner: asyncio.Runner
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.builder = JobBuilder(self.store)
        self.requests = itertools.count(1)
        self.before = 0

    @initialize(new=st.lists(newcomers, min_size=2, max_size=6), setting=st.sampled_from(SETTINGS))
    def begin(self, new: list[Newcomer], setting: Setting) -> None:
        self.runner.run(self._begin())
        self.change_limits(setting)
        self._enqueue(new)

    async def _begin(self) -> None:
        await self.store.command("FLUSHDB")
        await self.store.initialise()

    @rule(new=st.lists(newcomers, min_size=1, max_size=3))
    def enqueue(self, new: list[Newcomer]) -> None:
        self._enqueue(new)

    def _enqueue(self, new: list[Newcomer]) -> None:
        async def step() -> None:
            submissions, expected = [], []
            for body, delayed, key in new:
                submission = self.builder.submission(
                    delay_ms=delayed, unique=key and f"ann:{key}", fingerprint=str(body), **body
                )
                submissions.append(submission)
                expected.append(self._accept(submission, body, delayed, key))
            assert await self._accepted(submissions) == expected

        self._step(step)

    @precondition(lambda self: self.model.jobs or self.model.removed)
    @rule(at=picks, another_body=st.booleans())
    def enqueue_again(self, at: int, another_body: bool) -> None:
        """The same id, for the same or another job; of a removed one it is free again."""

        async def step() -> None:
            job_id = self._pick(at)
            known = self.model.jobs.get(job_id)
            body = dict(known.body if known else {"type": "a", "max_attempts": 1, "max_run_ms": None})
            if another_body:
                body["payload"] = {"another": True}
            submission = self.builder.submission(id=job_id, **body)
            expected = self._accept(submission, body, None, None)
            assert await self._accepted([submission]) == [expected]

        self._step(step)

    @rule(worker=workers, limit=st.integers(1, 4))
    def claim_anything(self, worker: str, limit: int) -> None:
        self._claim(POLICIES[0], worker, limit, HOUR_MS, again=False)

    @rule(
        policy=st.sampled_from(POLICIES),
        worker=workers,
        limit=st.integers(1, 4),
        lease=st.sampled_from([SHORT_MS, HOUR_MS, HOUR_MS]),
        again=st.sampled_from([False, False, False, True]),
    )
    def claim(self, policy: Policy, worker: str, limit: int, lease: int, again: bool) -> None:
        self._claim(policy, worker, limit, lease, again=again)

    def _claim(self, policy: Policy, worker: str, limit: int, lease: int, *, again: bool) -> None:
        async def step() -> None:
            last = self.model.memos.get(worker, ("", []))[0]
            request = last if again and last else f"r{next(self.requests)}"
            if request != last:
                # As a worker that was woken: the bell's token is gone before the claim.
                await self.store.command("LPOP", keys.bell(policy.id))
            found = await claims.claim(
                self.store, policy, worker_id=worker, lease_ms=lease, limit=limit, request_id=request
            )
            got = [(job.id, int(job.lease_token or 0)) for job in found.jobs]
            self.model.claim(policy, worker, limit, lease, request, got)
            assert found.system.workers_paused == self.model.paused

        self._step(step)

    @precondition(lambda self: self._any("running"))
    @rule(at=held_picks, token=tokens, who=holders, lease=st.sampled_from([SHORT_MS, HOUR_MS]))
    def heartbeat(self, at: int, token: int, who: str, lease: int) -> None:
        async def step() -> None:
            held = self._attempt(at, token, who)
            _, _, replies = await self.store.run("heartbeat", [(held[0], held[2], lease)], worker=held[1])
            assert replies[0][0] == self.model.heartbeat(*held, lease)

        self._step(step)

    @precondition(lambda self: self._any("running"))
    @rule(at=held_picks, token=tokens, who=holders)
    def complete(self, at: int, token: int, who: str) -> None:
        held = self._attempt(at, token, who)
        self._word("complete", (held[0], held[2], "done"), lambda: self.model.complete(*held), worker=held[1])

    @precondition(lambda self: self._any("running"))
    @rule(
        at=held_picks, token=tokens, who=holders, retryable=st.booleans(), timeout=st.booleans(), wait=waits
    )
    def fail(self, at: int, token: int, who: str, retryable: bool, timeout: bool, wait: int) -> None:
        held = self._attempt(at, token, who)
        item = (held[0], held[2], "broken", "run_timeout" if timeout else "", int(retryable), 0.5)
        self._word(
            "fail",
            item,
            lambda: self.model.fail(*held, retryable=retryable, timeout=timeout, wait=wait),
            worker=held[1],
            **_backoff(wait),
        )

    @precondition(lambda self: self._any("running"))
    @rule(at=held_picks, token=tokens, who=holders, wait=waits)
    def release(self, at: int, token: int, who: str, wait: int) -> None:
        held = self._attempt(at, token, who)
        self._word(
            "release",
            (held[0], held[2], "", 0.5),
            lambda: self.model.release(*held, most=MOST_RELEASES, wait=wait),
            worker=held[1],
            max_releases=MOST_RELEASES,
            **_backoff(wait),
        )

    @precondition(lambda self: self._any("running"))
    @rule(at=held_picks, token=tokens, who=holders)
    def acknowledge(self, at: int, token: int, who: str) -> None:
        held = self._attempt(at, token, who)
        self._word(
            "cancel_ack", (held[0], held[2], "", ""), lambda: self.model.acknowledge(*held), worker=held[1]
        )

    @precondition(lambda self: self._any("queued", "running", *ENDED))
    @rule(at=st.one_of(held_picks, picks))
    def cancel(self, at: int) -> None:
        job_id = self._pick(at)
        self._word("cancel", (job_id,), lambda: self.model.cancel(job_id), actor="ann", reason="")

    @precondition(lambda self: self._any("running"))
    @rule(
        at=held_picks,
        then=st.sampled_from(["complete", "fail", "release", "acknowledge", "expire"]),
        wait=waits,
    )
    def cancel_and_end(self, at: int, then: str, wait: int) -> None:
        """An end right after a request: single steps meet too seldom."""
        self.cancel(at)
        match then:
            case "complete":
                self.complete(0, 0, "")
            case "fail":
                self.fail(0, 0, "", retryable=True, timeout=False, wait=wait)
            case "release":
                self.release(0, 0, "", wait)
            case "acknowledge":
                self.acknowledge(0, 0, "")
            case "expire":
                self.heartbeat(0, 0, "", SHORT_MS)
                self.expire_leases(3, wait)

    @precondition(lambda self: self.model.paused or any(map(self.model.stale, self.model.jobs.values())))
    @rule(limit=st.integers(1, 3), wait=waits)
    def expire_leases(self, limit: int, wait: int) -> None:
        async def step() -> None:
            reply = await self.store.run("expire_leases", [(0.5,)] * limit, **_backoff(wait))
            expected = self.model.expire(limit, wait=wait)
            assert reply == (["PAUSED"] if expected is None else [expected])

        self._step(step)

    @precondition(
        lambda self: self.model.paused or any(job.due is not None for job in self.model.jobs.values())
    )
    @rule(limit=st.integers(1, 3))
    def promote_due(self, limit: int) -> None:
        async def step() -> None:
            expected = None if self.model.paused else self.model.promote(limit)
            assert await sweeping.promote_due(self.store, limit) == expected

        self._step(step)

    @rule(
        resume=st.sampled_from([True, True, True, False]),
        reason=st.sampled_from(["one", "two"]),
        force=st.booleans(),
    )
    def change_pause(self, resume: bool, reason: str, force: bool) -> None:
        async def step() -> None:
            state = await pause.read(self.store)
            reply = await self.store.run(
                "pause", action="resume" if resume else "pause", mode="" if resume else "drain",
                reason="" if resume else reason, actor="ann", force=int(force), until_ms=0,
                expected_version=-1,
            )  # fmt: skip
            held = any(job.status == "running" for job in self.model.jobs.values())
            if resume and self.model.paused and held and not force:
                assert reply[0] == "NOT_DRAINED"
            elif (resume and not self.model.paused) or (not resume and state.reason == reason):
                assert reply[0] == "UNCHANGED"
            else:
                self.model.paused = not resume
                self.model.version += 1
                assert fields(reply[0])["version"] == str(self.model.version)

        self._step(step)

    @precondition(lambda self: self._any("dead_letter"))
    @rule(at=held_picks)
    def redrive(self, at: int) -> None:
        job_id = self._pick(at, "dead_letter")
        self._word("redrive", (job_id,), lambda: self.model.redrive(job_id), actor="ann", reason="")

    @precondition(lambda self: self._any("dead_letter"))
    @rule(at=held_picks)
    def condemn(self, at: int) -> None:
        job_id = self._pick(at, "dead_letter")
        self._word("condemn", (job_id,), lambda: self.model.condemn(job_id), actor="ann", reason="")

    @precondition(lambda self: self._any(*ENDED))
    @rule(
        at=held_picks, first=st.sampled_from(["queued", *ENDED]), believed=st.sampled_from(["", "", "queued"])
    )
    def remove(self, at: int, first: str, believed: str) -> None:
        job_id = self._pick(at, first)
        known = self.model.jobs.get(job_id)
        status = believed or (known.status if known else "succeeded")
        self._word(
            "retention",
            (job_id, status),
            lambda: self.model.remove(job_id, status),
            before_ms=self.model.clock + HOUR_MS,
        )

    @rule(setting=st.sampled_from(SETTINGS))
    def change_limits(self, setting: Setting) -> None:
        """In each state: those that wait and those that run are under the new limits at once (Q-18)."""
        self.model.types, self.model.repositories = setting
        numbers = {f"type={name}": most for name, most in setting[0].items()}
        numbers |= {f"repo={name}": most for name, most in setting[1].items()}

        async def step() -> None:
            await self.store.run("set_limits", text=Limits(numbers).text, by="walk")
            await limits.apply(self.store)

        self._step(step)

    @rule()
    def forget_policies(self) -> None:
        async def step() -> None:
            forgotten = await sweeping.forget_policies(self.store, idle_seconds=0)
            assert (forgotten is None) == self.model.paused

        self._step(step)

    @rule()
    def reconcile(self) -> None:
        """Nothing ever differs."""

        async def step() -> None:
            assert await repair.reconcile(self.store) == []

        self._step(step)

    def _word(self, name: str, item: tuple[Any, ...], model: Callable[[], str], **args: Any) -> None:
        async def step() -> None:
            reply = await self.store.run(name, [item], **args)
            assert reply == [[model()]]

        self._step(step)

    def _step(self, step: Callable[[], Awaitable[None]]) -> None:
        type(self).steps += 1
        self.runner.run(self._whole(step))

    async def _whole(self, step: Callable[[], Awaitable[None]]) -> None:
        self.before = await now_ms(self.store)
        await step()
        await self._compare()

    async def _compare(self) -> None:
        """Learn the times that the store set, wait for the short ones, then hold everything to the model."""
        horizon = await comparison.jobs_agree(self.store, self.model, self.before)
        await past(self.store, horizon)
        self.model.clock = await now_ms(self.store)
        await comparison.numbers_agree(self.store, self.model)
        assert await invariants.check(self.store) == []
        await comparison.nobody_sleeps(self.store, self.model, set(POLICIES))

    async def _accepted(self, submissions: list[jobs.Submission]) -> list[str]:
        replies = await self.store.run(
            "enqueue", [jobs._item(each) for each in submissions], max_queued=1000, max_lanes=1000,
            idempotency_ms=HOUR_MS,
        )  # fmt: skip
        return list(replies[0])

    def _accept(
        self, submission: jobs.Submission, body: dict[str, Any], delayed: int | None, key: str | None
    ) -> str:
        job = ModelJob(submission.id, submission.lane, body, submission.max_attempts, submission.max_run_ms)
        return self.model.accept(job, key=key, fingerprint=str(body), delayed=delayed)

    def _any(self, *statuses: str) -> bool:
        return any(job.status in statuses for job in self.model.jobs.values())

    def _pick(self, at: int, first: str = "running") -> str:
        """A job: those of one status first, then the others, then removed ones, or one that never was.

        Those with a cancel request before their equals, since what comes after one is rare otherwise.
        """
        known = sorted(self.model.jobs.values(), key=lambda job: (job.status != first, not job.cancel_asked))
        ids = [job.id for job in known] + self.model.removed
        return ids[at % len(ids)] if ids else str(uuid_utils.uuid7())

    def _attempt(self, at: int, token: int, who: str) -> tuple[str, str, int]:
        """job, worker and token of an attempt: mostly the one that holds or held the job."""
        job_id = self._pick(at)
        job = self.model.jobs.get(job_id)
        if job is None:
            return job_id, who or "w1", 1 + token
        last = job.ended.split(":")[2] if job.ended else "w1"
        return job_id, who or job.owner or last, job.token + token


def _backoff(wait: int) -> dict[str, Any]:
    """A backoff of exactly `wait` ms."""
    return {"base_ms": wait, "factor": 1, "cap_ms": wait, "jitter": 0}
