"""Who gets what over HTTP, in which order: 10,000 lanes, 50 policies and limits, as a plain model says."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from sluicegate import keys
from sluicegate.model import Policy
from sluicegate.store.connection import Store
from tests.support.programs import Programs, programs

LANES: Final = 10_000
TYPES: Final = [f"t{at}" for at in range(20)]
REPOSITORIES: Final = [None, *(f"acme/r{at}" for at in range(49))]
CAPABILITIES: Final[list[tuple[str, ...]]] = [(), ("git",), ("gpu",), ("git", "gpu"), ("quantum",)]
LIMITS: Final = "type=t0:3,type=t1:5,repo=*:6,repo=https://github.com/Acme/R1.git:1"
MOST_OF_TYPE: Final = {"t0": 3, "t1": 5}
JOBS: Final = "/api/queue/jobs"


class One(NamedTuple):
    """A job alone in its lane. order: what decides who is next."""

    id: str
    type: str
    repository: str | None
    capabilities: tuple[str, ...]
    key: str | None
    order: tuple[int, int]


class Queue:
    """What waits and runs, in plain Python: never more than the limits say, the best of the rest first."""

    def __init__(self, jobs: list[One]) -> None:
        self.waiting = dict.fromkeys(sorted(jobs, key=lambda job: job.order))
        self.running: dict[str, One] = {}
        self.by_type: Counter[str] = Counter()
        self.by_repository: Counter[str | None] = Counter()
        self.by_key: Counter[str | None] = Counter()

    def next_for(self, policy: Policy) -> One | None:
        admitted = (job for job in self.waiting if admits(policy, job) and self.has_room(job))
        return next(admitted, None)

    def has_room(self, job: One) -> bool:
        of_repository = 1 if job.repository == "acme/r1" else 6
        return (
            self.by_type[job.type] < MOST_OF_TYPE.get(job.type, LANES)
            and (job.repository is None or self.by_repository[job.repository] < of_repository)
            and (job.key is None or self.by_key[job.key] < 1)
        )

    def begin(self, job: One) -> None:
        del self.waiting[job]
        self.running[job.id] = job
        self._count(job, 1)

    def end(self, job_id: str) -> None:
        self._count(self.running.pop(job_id), -1)

    def _count(self, job: One, number: int) -> None:
        self.by_type[job.type] += number
        self.by_repository[job.repository] += number
        self.by_key[job.key] += number


def admits(policy: Policy, job: One) -> bool:
    return (
        (policy.types is None or job.type in policy.types)
        and (policy.repositories is None or job.repository in policy.repositories)
        and set(job.capabilities) <= set(policy.capabilities)
    )


def described() -> Iterator[dict[str, Any]]:
    """Each in a lane of its own."""
    combinations = itertools.product(TYPES, REPOSITORIES, CAPABILITIES, (0, 7))
    for at, (kind, repository, capabilities, priority) in enumerate(combinations):
        yield {
            "type": kind,
            "priority": priority,
            "payload": {"repository": repository} if repository else {},
            "requiredCapabilities": list(capabilities),
            "affinityKey": f"k{at % 40}" if at % 3 == 0 else None,
        }


def policies(chance: random.Random) -> list[Policy]:
    named = [each for each in REPOSITORIES if each]
    return [
        Policy(
            types=None if at % 5 == 0 else tuple(sorted(chance.sample(TYPES, 1 + at % 12))),
            repositories=None if at % 3 else tuple(sorted(chance.sample(named, 1 + at % 20))),
            capabilities=tuple(chance.choice(CAPABILITIES)) if at % 4 else ("git", "gpu", "quantum"),
        )
        for at in range(50)
    ]


@pytest.fixture
def started(store: Store, tmp_path: Path) -> Iterator[Programs]:
    with programs(store.settings.redis_url, tmp_path) as each:
        yield each


@pytest.mark.slow
async def test_ten_thousand_lanes_and_fifty_policies(store: Store, started: Programs) -> None:
    """Q-3, Q-4, Q-12, Q-18: each claim gets the best of what its policy and the limits allow, and no less."""
    program = started.start("services.queue_api", CONCURRENCY_LIMITS=LIMITS)
    line = await program.said("service_listening")
    url = f"http://{line['host']}:{line['port']}"
    chance = random.Random(7)
    asked = policies(chance)
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=30)) as session:
        queue = Queue(await enqueued(store, session))
        assert await store.command("HLEN", keys.LANES) == LANES
        for number in range(300):
            policy = asked[number % 50] if number < 100 else chance.choice(asked)
            got = await claimed(session, policy, number)
            for job_id in got:
                best = queue.next_for(policy)
                assert best is not None, f"{job_id} is not for {policy}, or one too many"
                job = next(
                    (job for job in queue.waiting if job.id == job_id and job.order == best.order), None
                )
                assert job is not None, f"{job_id} came before {best}"
                assert admits(policy, job) and queue.has_room(job), f"{job} is not for {policy} now"
                queue.begin(job)
            assert len(got) == 5 or queue.next_for(policy) is None, "work was left behind"
            if number % 2:
                ends = chance.sample(sorted(queue.running), min(9, len(queue.running)))
                await completed(session, ends)
                for job_id in ends:
                    queue.end(job_id)
        assert len(queue.waiting) < LANES - 500, "the walk claimed too little to mean anything"


async def enqueued(store: Store, session: aiohttp.ClientSession) -> list[One]:
    everything = list(described())
    found: list[One] = []
    for start in range(0, LANES, 1000):
        part = everything[start : start + 1000]
        async with session.post(f"{JOBS}/batch", json={"jobs": part}) as response:
            items = (await response.json())["items"]
        entries = await store.commands(*(("HGET", keys.job(item["job"]["id"]), "entry") for item in items))
        found += [
            One(
                item["job"]["id"],
                job["type"],
                job["payload"].get("repository"),
                tuple(job["requiredCapabilities"]),
                job["affinityKey"],
                (-job["priority"], int(entry[2:].partition("-")[0])),
            )
            for job, item, entry in zip(part, items, entries, strict=True)
        ]
    return found


async def claimed(session: aiohttp.ClientSession, policy: Policy, number: int) -> list[str]:
    call = {
        "workerId": f"w{number % 10}",
        "leaseSeconds": 600,
        "maxJobs": 5,
        "workerCapabilities": list(policy.capabilities),
        "allowedTypes": policy.types,
        "allowedRepositories": policy.repositories,
    }
    async with session.post(f"{JOBS}/claim", json=call) as response:
        assert response.status == 200, await response.text()
        jobs = (await response.json())["jobs"]
    TOKENS.update({job["id"]: (job["claimedBy"], job["leaseToken"]) for job in jobs})
    return [job["id"] for job in jobs]


TOKENS: Final[dict[str, tuple[str, str]]] = {}
"""Who holds a job, and by which token."""


async def completed(session: aiohttp.ClientSession, job_ids: list[str]) -> None:
    async def one(job_id: str) -> None:
        worker, token = TOKENS.pop(job_id)
        body = {"workerId": worker, "leaseToken": token}
        async with session.post(f"{JOBS}/{job_id}/complete", json=body) as response:
            assert response.status == 200, await response.text()

    await asyncio.gather(*map(one, job_ids))
