"""A claim that waits: woken by work, ended by its client or by a stop (Q-7, Q-16, 70-64)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from services.queue_api.app import build
from services.queue_api.handlers import claims as claim_handlers
from sluicegate.http import LONG_REQUESTS, METRICS, serving
from sluicegate.settings import QueueApiSettings
from sluicegate.store import Store, claims, pause
from tests.services.queue_api.conftest import Api
from tests.support.wait import until


async def waiting(api: Api, count: int = 1) -> None:
    await until(lambda: len(api.app[LONG_REQUESTS]._waiting) == count, f"{count} claims wait")


async def test_work_wakes_a_waiting_claim(api: Api) -> None:
    """70-64: within 20 ms (p99) of the enqueue; here ten times that, by 70-62."""
    for _ in range(5):
        poll = asyncio.create_task(api.claim(waitSeconds=20))
        await waiting(api)
        started = time.monotonic()
        made = await api.enqueue()
        assert (await poll)["job"]["id"] == made["id"]
        assert time.monotonic() - started < 0.2


async def test_one_job_goes_to_one_of_many_that_wait(api: Api) -> None:
    polls = [asyncio.create_task(api.claim(f"w{n}", waitSeconds=0.7)) for n in range(10)]
    await waiting(api, 10)
    made = [(await api.enqueue())["id"] for _ in range(3)]
    replies = await asyncio.gather(*polls)
    assert sorted(each["job"]["id"] for each in replies if each["job"]) == sorted(made)


async def test_only_a_claim_that_may_have_it_is_answered(api: Api) -> None:
    other = asyncio.create_task(api.claim("w1", waitSeconds=0.6, allowedTypes=["other"]))
    able = asyncio.create_task(api.claim("w2", waitSeconds=20, workerCapabilities=["git"]))
    await waiting(api, 2)
    made = await api.enqueue(requiredCapabilities=["git"])
    assert (await able)["job"]["id"] == made["id"]
    assert (await other)["job"] is None


async def test_a_delayed_job_is_claimed_when_it_is_due(api: Api) -> None:
    """Q-7: within 100 ms of its time, no sweeper; ten times that by 70-62."""
    poll = asyncio.create_task(api.claim(waitSeconds=20))
    await waiting(api)
    started = time.monotonic()
    await api.enqueue(delaySeconds=0.4)
    assert (await poll)["job"]
    assert 0.35 < time.monotonic() - started < 1.4


async def test_time_up_is_an_empty_reply_with_a_fresh_system(api: Api, store: Store) -> None:
    poll = asyncio.create_task(api.claim(waitSeconds=0.5))
    await waiting(api)
    await pause.change(
        store, action="pause", mode="drain", reason="upgrade", actor="ann", force=False, expected_version=None
    )
    reply = await poll
    assert reply["job"] is None
    assert (reply["system"]["workersPaused"], reply["system"]["mode"]) == (True, "drain")


async def test_a_resume_wakes_those_who_wait(api: Api, store: Store) -> None:
    """P-4: while paused a claim opens nothing, however long it waits."""
    await api.claim()
    change: dict[str, Any] = {"actor": "ann", "force": False, "expected_version": None}
    await pause.change(store, action="pause", mode="drain", reason="upgrade", **change)
    made = await api.enqueue()
    poll = asyncio.create_task(api.claim(waitSeconds=20))
    await waiting(api)
    assert (await api.get(f"/jobs/{made['id']}")).json["status"] == "queued"
    await pause.change(store, action="resume", mode=None, reason=None, **change)
    assert (await poll)["job"]["id"] == made["id"]
    text = (await api.get("//metrics")).text
    assert 'sluicegate_claims_total{result="paused"}' in text
    assert "sluicegate_claim_guard_hits_total 0.0" not in text


async def test_a_claim_whose_client_left_claims_nothing(api: Api) -> None:
    """Q-16"""
    poll = asyncio.create_task(api.claim(waitSeconds=20))
    await waiting(api)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    await waiting(api, 0)
    made = await api.enqueue()
    job = (await api.get(f"/jobs/{made['id']}")).json
    assert (job["status"], job["releases"]) == ("queued", 0)
    assert [
        each["payload"]["kind"] for each in (await api.get(f"/jobs/{made['id']}/events")).json["items"]
    ] == ["job.enqueued"]


async def test_the_ring_for_a_client_that_left_wakes_the_next(api: Api) -> None:
    leaving = asyncio.create_task(api.claim("w1", waitSeconds=20))
    await waiting(api)
    staying = asyncio.create_task(api.claim("w2", waitSeconds=20))
    await waiting(api, 2)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    made = await api.enqueue()
    started = time.monotonic()
    assert (await staying)["job"]["id"] == made["id"]
    assert time.monotonic() - started < 1


async def test_what_was_claimed_for_a_reply_that_cannot_be_written_is_released(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Q-16: the client goes away between the store's answer and ours. That is no error of the service."""
    claimed, left = asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **rest: Any) -> claims.Claimed:
        found = await claims.claim(*args, **rest)
        claimed.set()
        await left.wait()
        return found

    monkeypatch.setattr(claim_handlers, "claims", _Slow(slow))
    made = await api.enqueue()
    poll = asyncio.create_task(api.claim())
    await claimed.wait()
    assert (await api.get(f"/jobs/{made['id']}")).json["status"] == "running"
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    left.set()

    async def back() -> bool:
        job = (await api.get(f"/jobs/{made['id']}")).json
        return bool(job["status"] == "queued" and job["releases"] == 1 and job["attempt"] == 1)

    await until(back, "the job is queued again, released")
    assert (await api.get("/jobs")).status == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stop_answers_those_who_wait(api_settings: QueueApiSettings, store: Store) -> None:
    app = build(api_settings, store)
    async with aiohttp.ClientSession() as session:
        async with serving(app, "127.0.0.1", 0) as (host, port):
            api = Api(f"http://{host}:{port}", session, app)
            polls = [asyncio.create_task(api.claim(f"w{n}", waitSeconds=30)) for n in range(3)]
            await waiting(api, 3)
            started = time.monotonic()
        assert [each["job"] for each in await asyncio.gather(*polls)] == [None] * 3
    assert time.monotonic() - started < 5


async def test_many_waiting_claims_share_a_few_connections(api: Api, store_url: str) -> None:
    """70-64: 1,000 waiting claims cost at most 4 connections to the store."""
    polls = [asyncio.create_task(api.claim(f"w{n}", waitSeconds=20)) for n in range(200)]
    try:
        await waiting(api, 200)
        async with redis.asyncio.Redis.from_url(store_url, protocol=2) as watcher:
            await until(lambda: few(watcher), "one connection waits for all, beside it at most three")
        for _ in range(20):
            await api.enqueue()
        await until(lambda: sum(each.done() for each in polls) == 20, "each job has woken a claim")
    finally:
        for each in polls:
            each.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def test_many_waiting_claims_look_no_oftener_than_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a lost ring costs is one look in a while, not one of each."""
    monkeypatch.setattr(claim_handlers, "LOOK_SECONDS", 0.05)
    polls = [asyncio.create_task(api.claim(f"w{n}", waitSeconds=20)) for n in range(30)]
    await waiting(api, 30)
    started = time.monotonic()
    await until(lambda: looks(api) >= 30 + 8, "one of them has looked again and again")
    assert looks(api) - 30 <= (time.monotonic() - started) / 0.05 + 2
    made = await api.enqueue(delaySeconds=0.3)
    done, pending = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
    assert [each.result()["job"]["id"] for each in done] == [made["id"]]
    for each in pending:
        each.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


def looks(api: Api) -> float:
    return api.app[METRICS].registry.get_sample_value("sluicegate_claims_total", {"result": "empty"}) or 0


async def few(watcher: redis.asyncio.Redis) -> bool:
    """The watcher's own connection is one more."""
    commands = [each["cmd"] for each in await watcher.client_list()]
    return commands.count("blpop") == 1 and len(commands) - 1 <= 4


class _Slow:
    """The store's claims, with another `claim`."""

    def __init__(self, claim: Any) -> None:
        self.claim = claim

    def __getattr__(self, name: str) -> Any:
        return getattr(claims, name)
