"""Pause and resume, again and again, while others claim: nothing begins after a pause (P-1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec
import pytest
import uuid_utils

from services.control.app import build as build_control
from sluicegate import keys
from sluicegate.http import METRICS, serving
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store import Store, claims, endings, invariants, jobs
from tests.services.queue_api.conftest import Api
from tests.support import given
from tests.support.job_builder import JobBuilder
from tests.support.wait import until

ROUNDS: Final = [25, pytest.param(200, marks=pytest.mark.slow)]
LOOPS: Final = 8
APART_SECONDS: Final = 0.01
"""A loop leaves this much between its claims: all of it is one process, the pause call too."""
URL: Final = "/api/system/worker-pause"
Loop = Callable[[str], Awaitable[None]]


class Claimers:
    """What the loops have got and what turned them away, counted by them or by the service."""

    def __init__(self) -> None:
        self.opened = 0
        self.turned_away = 0

    async def by_store(self, store: Store, name: str) -> None:
        while True:
            found = await claims.claim(
                store, given.ANY, worker_id=name, lease_ms=60_000, limit=1, request_id=str(uuid_utils.uuid7())
            )
            self.opened += len(found.jobs)
            if found.jobs:
                done: list[endings.Ending] = [
                    endings.Complete(job.id, given.token(job)) for job in found.jobs
                ]
                await endings.finish(store, name, done)
            elif found.system.workers_paused:
                self.turned_away += 1
            await asyncio.sleep(APART_SECONDS)

    async def by_long_poll(self, api: Api, name: str, wait_seconds: float) -> None:
        while True:
            claimed = (await api.claim(name, waitSeconds=wait_seconds))["jobs"]
            self.opened += len(claimed)
            if claimed:
                done = [
                    {"id": job["id"], "leaseToken": job["leaseToken"], "outcome": "complete"}
                    for job in claimed
                ]
                answer = await api.post("/jobs/finish", {"workerId": name, "jobs": done})
                assert [item["status"] for item in answer.json["items"]] == [200] * len(done), answer.text
            await asyncio.sleep(APART_SECONDS)


@pytest.fixture
async def control(settings: Settings, store: Store) -> AsyncIterator[aiohttp.ClientSession]:
    app = build_control(ControlSettings(**msgspec.structs.asdict(settings)), store)
    async with (
        serving(app, "127.0.0.1", 0) as (host, port),
        aiohttp.ClientSession(f"http://{host}:{port}") as session,
    ):
        yield session


@asynccontextmanager
async def looping(loop: Loop) -> AsyncIterator[None]:
    """Eight of them at work; one that fails fails the test."""
    tasks = [asyncio.create_task(loop(f"worker-{number}")) for number in range(LOOPS)]
    try:
        yield
        assert [task.exception() for task in tasks if task.done()] == []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("times", ROUNDS)
async def test_no_claim_of_the_store_begins_anything_after_a_pause(
    store: Store, control: aiohttp.ClientSession, times: int
) -> None:
    """P-1: against eight loops of bare claims."""
    claimers = Claimers()
    async with looping(lambda name: claimers.by_store(store, name)):
        await rounds(times, store, control, lambda: claimers.opened, lambda: claimers.turned_away)


@pytest.mark.parametrize("times", ROUNDS)
async def test_no_long_poll_begins_anything_after_a_pause(
    api: Api, store: Store, control: aiohttp.ClientSession, times: int
) -> None:
    """P-1: the same over HTTP. Half of the loops wait across the pauses, and are rung up meanwhile."""
    claimers = Claimers()

    def turned_away() -> float:
        return api.app[METRICS].registry.get_sample_value("sluicegate_claim_guard_hits_total") or 0

    def loop(name: str) -> Awaitable[None]:
        return claimers.by_long_poll(api, name, wait_seconds=20.0 if name < "worker-4" else 0.002)

    async with looping(loop):
        await rounds(times, store, control, lambda: claimers.opened, turned_away)


async def rounds(
    times: int,
    store: Store,
    control: aiohttp.ClientSession,
    opened: Callable[[], float],
    turned_away: Callable[[], float],
) -> None:
    """In each round attempts begin until the pause, and as many claims as there are loops come after it."""
    make = JobBuilder(store)
    seen = "-"
    for number in range(times):
        if (await jobs.counts(store)).queued < 100:
            await make.enqueued(*(make.submission() for _ in range(100)))
        before = opened()
        if number:
            await change(control, action="resume", forceResume=True)
        await until(lambda: opened() >= before + LOOPS, "the loops are at work", pause=0.001)  # noqa: B023
        await change(control, action="pause", mode="drain", reason=f"round {number}")
        hits = turned_away()
        await make.enqueued(make.submission())  # rings who waits
        await until(lambda: turned_away() >= hits + LOOPS, "claims come after it", pause=0.001)  # noqa: B023
        assert (await jobs.counts(store)).queued, "there was nothing to claim"
        seen = await nothing_began_since_the_pause(store, seen, changes=2 if number else 1)
    await change(control, action="resume", forceResume=True)
    await until(lambda: drained(store), "all jobs end", timeout=30)
    assert await invariants.check(store) == []


async def change(control: aiohttp.ClientSession, **body: object) -> None:
    async with control.post(URL, json=body) as answer:
        assert answer.status == 200, await answer.text()


async def nothing_began_since_the_pause(store: Store, seen: str, *, changes: int) -> str:
    """Scripts leave their notices in one stream, in the order in which they ran: no clock decides this."""
    notices = await store.command("XRANGE", keys.EVENTS, seen, "+")
    kinds = [fields[fields.index("kind") + 1] for _, fields in notices]
    assert kinds.count("pause") == changes
    last = len(kinds) - 1 - kinds[::-1].index("pause")
    assert "running" in kinds[:last]
    assert "running" not in kinds[last:]
    return f"({notices[-1][0]}"


async def drained(store: Store) -> bool:
    counts = await jobs.counts(store)
    return counts.is_drained and not counts.queued
