"""One builder that makes a job in any state, by the store's own functions."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
import uuid_utils

from sluicegate import keys
from sluicegate.errors import RequestError
from sluicegate.model import MAX_ATTEMPTS_DEFAULT, Job, JobSpec, Lane, Policy
from sluicegate.store import cancellation, claims, endings, jobs
from sluicegate.store.connection import Store
from tests.support.wait import until

WORKER: Final = "worker-1"
LEASE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000


class Made(NamedTuple):
    """A job, and the last attempt of it that was opened (token 0: none)."""

    job_id: str
    token: int = 0
    worker: str = WORKER


class JobBuilder:
    """Makes jobs. Claims only what it made itself: each builder call fails if another job came first."""

    STATES: Final = (
        "waiting", "delayed", "returned", "running", "stale", "cancelling", "succeeded", "failed",
        "cancelled", "dead_letter",
    )  # fmt: skip

    def __init__(self, store: Store) -> None:
        self.store = store
        self.everything = Policy()
        self.work = Policy(types=("work",))
        self._requests = itertools.count(1)
        self.by_state: dict[str, Callable[..., Awaitable[Made]]] = {
            state: getattr(self, state) for state in self.STATES
        }

    async def made(self, state: str, **described: Any) -> Made:
        return await self.by_state[state](**described)

    def submission(
        self,
        type: str = "work",
        *,
        id: str | None = None,
        priority: int = 0,
        repository: str | None = None,
        capabilities: tuple[str, ...] = (),
        affinity_key: str | None = None,
        max_attempts: int = MAX_ATTEMPTS_DEFAULT,
        max_run_ms: int | None = None,
        payload: dict[str, Any] | None = None,
        **rest: Any,
    ) -> jobs.Submission:
        """A job of that lane, ready to be enqueued. rest: delay_ms, due_ms, unique, fingerprint."""
        spec = JobSpec(
            type=type,
            payload=payload or {},
            priority=priority,
            repository=repository,
            required_capabilities=list(capabilities),
            affinity_key=affinity_key,
            max_attempts=max_attempts,
            max_run_seconds=max_run_ms / 1000 if max_run_ms else None,
        )
        return jobs.Submission(
            id=id or str(uuid_utils.uuid7()),
            spec=msgspec.json.encode(spec),
            lane=Lane(type, priority, repository, capabilities, affinity_key),
            max_attempts=max_attempts,
            max_run_ms=max_run_ms,
            **rest,
        )

    async def enqueued(self, *submissions: jobs.Submission) -> list[str]:
        """The ids of jobs that were all accepted."""
        results = await jobs.enqueue(self.store, submissions)
        refused = [result for result in results if isinstance(result, RequestError)]
        assert not refused, refused
        return [result.job_id for result in results if isinstance(result, jobs.Enqueued)]

    async def claim(
        self,
        policy: Policy | None = None,
        *,
        worker: str = WORKER,
        limit: int = 1,
        lease_ms: int = LEASE_MS,
        request_id: str | None = None,
    ) -> list[Job]:
        """What this worker gets now."""
        claimed = await claims.claim(
            self.store, policy or self.everything, worker_id=worker, lease_ms=lease_ms, limit=limit,
            request_id=request_id or f"request-{next(self._requests)}",
        )  # fmt: skip
        return claimed.jobs

    async def opened(self, job_id: str, policy: Policy, *, worker: str, lease_ms: int = LEASE_MS) -> Made:
        """The next attempt of this job; nothing may stand before it."""
        claimed = await self.claim(policy, worker=worker, lease_ms=lease_ms)
        assert [job.id for job in claimed] == [job_id], f"{job_id} is not next for {policy}: {claimed}"
        return Made(job_id, int(claimed[0].lease_token or 0), worker)

    async def waiting(self, **described: Any) -> Made:
        (job_id,) = await self.enqueued(self.submission(**described))
        return Made(job_id)

    async def delayed(self, delay_ms: int = HOUR_MS, **described: Any) -> Made:
        return await self.waiting(delay_ms=delay_ms, **described)

    async def running(self, *, worker: str = WORKER, lease_ms: int = LEASE_MS, **described: Any) -> Made:
        submission = self.submission(**described)
        (job_id,) = await self.enqueued(submission)
        lane = submission.lane
        policy = Policy(types=(lane.type,), capabilities=lane.capabilities)
        return await self.opened(job_id, policy, worker=worker, lease_ms=lease_ms)

    async def stale(self, **described: Any) -> Made:
        made = await self.running(lease_ms=1, **described)
        await self.lease_over(made)
        return made

    async def cancelling(self, **described: Any) -> Made:
        made = await self.running(**described)
        await cancellation.cancel(self.store, made.job_id, actor="someone")
        return made

    async def returned(self, **described: Any) -> Made:
        made = await self.running(**described)
        await self.ended(made, endings.Release(made.job_id, made.token, "shutting down"))
        return made

    async def succeeded(self, **described: Any) -> Made:
        made = await self.running(**described)
        await self.ended(made, endings.Complete(made.job_id, made.token, "done"))
        return made

    async def failed(self, **described: Any) -> Made:
        made = await self.running(**described)
        await self.ended(made, endings.Fail(made.job_id, made.token, "no use", retryable=False))
        return made

    async def cancelled(self, **described: Any) -> Made:
        made = await self.cancelling(**described)
        await cancellation.acknowledge(self.store, made.job_id, worker_id=made.worker, lease_token=made.token)
        return made

    async def dead_letter(self, **described: Any) -> Made:
        made = await self.running(**{"max_attempts": 1, **described})
        await self.ended(made, endings.Fail(made.job_id, made.token, "broken", failure_class="flaky"))
        return made

    async def ended(self, made: Made, ending: endings.Ending) -> Job:
        return await endings.finish_one(self.store, made.worker, ending)

    async def until_due(self, made: Made) -> None:
        """Wait until the store's clock is past the time of a delayed job."""
        await past(self.store, int(await self.store.command("ZSCORE", keys.DELAYED, made.job_id)))

    async def lease_over(self, made: Made) -> None:
        """Shorten the lease until the store's clock is past it, whoever else lengthens it meanwhile.

        A worker that lives may lengthen it again afterwards: then repeat, together with what needs it over.
        """

        async def look() -> bool:
            left_ms = int(await self.store.command("ZSCORE", keys.LEASES, made.job_id)) - await now_ms(
                self.store
            )
            if left_ms > 1:
                await claims.renew(self.store, made.worker, [claims.Lease(made.job_id, made.token, 1)])
            return left_ms < 0

        await until(look, f"the lease of {made.job_id} is over", pause=0.001)


async def now_ms(store: Store) -> int:
    """The store's clock."""
    seconds, micros = await store.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


async def past(store: Store, time_ms: int) -> None:
    """Wait until the store's clock is past this time."""

    async def look() -> bool:
        return await now_ms(store) > time_ms

    await until(look, f"the store's clock passes {time_ms}", pause=0.001)
