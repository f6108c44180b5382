"""Each service does all of its work as a user of its own, which can do nothing else in the store (60-6)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.redis.users import SERVICES
from sluicegate import Client, keys
from sluicegate.errors import NotFound
from tests.support.origin import Origin
from tests.support.programs import Programs, programs
from tests.support.secured_store import Secured, secured
from tests.support.tasks import payload
from tests.support.wait import until

STORES = [
    pytest.param("valkey", id="valkey"),
    pytest.param("redis", id="redis-tls", marks=[pytest.mark.needs("redis-server"), pytest.mark.slow]),
]


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Secured]:
    (tmp_path / "store").mkdir()
    with secured(tmp_path / "store", request.param, tls=request.param == "redis") as running:
        yield running


@pytest.fixture
def started(store: Secured, tmp_path: Path) -> Iterator[Programs]:
    with programs(store.settings("worker")["REDIS_URL"], tmp_path) as running:
        running.settings |= {
            "ALLOW_LOCAL_REPOSITORIES": "1",
            "WORKER_CAPABILITIES": "git,shell",
            "RETENTION_INTERVAL_SECONDS": "0.2",
            "RETENTION_CANCELLED_SECONDS": "0.2",
        }
        yield running


@pytest.mark.slow
@pytest.mark.needs("git")
@pytest.mark.parametrize("store", STORES, indirect=True)
async def test_a_deployment_works_as_its_users(store: Secured, started: Programs, tmp_path: Path) -> None:
    """60-6: jobs run, wait, fail, are cancelled, removed; pauses, tokens, audit; no call is refused."""
    origin = Origin(tmp_path / "origin")
    _, api = await started.service("queue_api", **store.settings("queue_api"))
    _, control = await started.service("control", **store.settings("control"))
    started.start("services.sweeper", **store.settings("sweeper"))
    worker = started.start("services.worker", WORKER_ID="worker-1", **store.settings("worker"))
    async with Client.from_url(api) as jobs, Client.from_url(control) as operator:
        await worker.said("worker.started")
        done = [
            await jobs.enqueue(type="noop", payload={}),
            await jobs.enqueue(type="task", payload=payload(origin, "date > now")),
        ]
        for job in done:
            assert (await jobs.wait(job.id, 60)).status == "succeeded"
        assert await jobs.artifacts(done[1].id)
        failed = await jobs.enqueue(type="task", payload=payload(origin, "exit 3"), max_attempts=1)
        dead = await jobs.wait(failed.id, 60)
        assert dead.status in ("failed", "dead_letter")
        await jobs.retry(failed.id)
        await operator.pause(mode="drain", reason="a look")
        waiting = await jobs.enqueue(type="noop", payload={}, idempotency_key="once")
        assert (await jobs.why(waiting.id)).reasons
        await jobs.cancel(waiting.id, "not needed")
        await operator.resume(reason="seen", force=True)
        assert [each.worker_id for each in await operator.workers()] == ["worker-1"]
        issued = await jobs.tokens.create("remote")
        await jobs.tokens.revoke(issued.worker_token.id)

        async def is_removed() -> bool:
            try:
                await jobs.get(waiting.id)
            except NotFound:
                return True
            return False

        await until(is_removed, "retention removes the cancelled job", 20)
    assert checkup(store, tmp_path) == 0
    with store.admin() as admin:
        assert admin.acl_log() == []


def checkup(store: Secured, folder: Path) -> int:
    """`sluicegate doctor` as the operator's user."""
    told = {f"SLUICEGATE_{name}": value for name, value in store.settings("operator").items()}
    return subprocess.run(
        [sys.executable, "-m", "sluicegate", "doctor", "--data-dir", folder / "data"],
        env=os.environ | told, timeout=60, check=False,
    ).returncode  # fmt: skip


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_what_a_service_does_not_need_is_refused(store: Secured) -> None:
    """60-6: other keys, commands of administration, and what is another service's."""
    for service in SERVICES:
        with store.user(service) as client:
            for words in (
                ("GET", "another"), ("SET", "sg", "1"), ("KEYS", "*"), ("FLUSHDB",), ("SHUTDOWN",),
                ("CONFIG", "SET", "save", ""), ("ACL", "LIST"), ("CLIENT", "KILL", "ID", "1"),
                ("XGROUP", "DELCONSUMER", "a", "b", "c"), ("PUBLISH", "a", "b"), ("SCRIPT", "FLUSH"),
                ("EVAL", "return redis.call('GET', 'another')", 0),
            ):  # fmt: skip
                refused(client, *words)
    with store.user("worker") as client:
        refused(client, "HGETALL", keys.TOKENS)
        refused(client, "HSET", keys.PAUSE, "paused", "0")
        refused(client, "XRANGE", keys.AUDIT, "-", "+")
        assert client.execute_command("HGETALL", keys.PAUSE) == {}
    with store.user("operator") as client:
        assert client.ping()
    with store.client("default", "") as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()


def refused(client: redis.Redis, *words: object) -> None:
    with pytest.raises(
        redis.ResponseError, match=r"NOPERM|No permissions|has no permissions|can't (run this|access)"
    ):
        client.execute_command(*words)
