"""The checks that follow every test find what they look for."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest
import redis

from sluicegate.store import claims, sweeping
from sluicegate.store.connection import Store
from tests.support import leftovers, tools
from tests.support.fake_redis import fake_redis
from tests.support.job_builder import JobBuilder
from tests.support.wait import TimedOut, until, until_sync


async def test_a_task_left_behind_is_named() -> None:
    forever = asyncio.Event()
    task = asyncio.create_task(forever.wait(), name="stray")
    assert [each.partition(":")[0] for each in await leftovers.tasks_left(0.02)] == ["stray"]
    forever.set()
    await task
    assert await leftovers.tasks_left() == []


def test_a_child_left_behind_is_named_and_ended() -> None:
    known = leftovers.children()
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        assert [each.partition(":")[0] for each in leftovers.processes_left(known, 0.02)] == [str(child.pid)]
        assert child.wait(10) != 0
    finally:
        child.kill()
        child.communicate()
    assert leftovers.processes_left(known) == []


def test_keys_without_an_expiry_are_found_unless_permanent(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url, protocol=2) as client:
        client.flushdb()
        client.set("{sg:0}:meta", "1")
        client.set("{sg:0}:job:1", "1")
        client.set("{sg:0}:gone", "1", ex=60)
        assert leftovers.keys_left(valkey_url, ["{sg:0}:meta"]) == ["{sg:0}:job:1"]
        assert leftovers.keys_left(valkey_url, ["{sg:0}:meta", "{sg:*}:job:*"]) == []
        client.flushdb()


def test_a_catalogued_name_is_a_pattern_of_keys() -> None:
    assert leftovers.pattern("lane:<lane><class>") == "{sg:*}:lane:**"
    assert leftovers.matches("{sg:0}:lane:0|noop||++w", [leftovers.pattern("lane:<lane><class>")])


async def test_a_lease_ends_although_its_worker_lives(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's own heartbeat may come in between; then the wait lasted as long as its lease."""
    builder = JobBuilder(store)
    made = await builder.running()
    shorten, lengthened = claims.renew, []

    async def renew(store: Store, worker_id: str, leases: Sequence[claims.Lease]) -> claims.Renewal:
        renewal = await shorten(store, worker_id, leases)
        if not lengthened:
            lengthened.append(await shorten(store, worker_id, [leases[0]._replace(lease_ms=60_000)]))
        return renewal

    monkeypatch.setattr(claims, "renew", renew)
    await builder.lease_over(made)
    assert lengthened
    assert await sweeping.expire_leases(store) == 1


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("{sg:0}:job:1", "{sg:*}:job:*", True),
        ("{sg:0}:jobs", "{sg:*}:job:*", False),
        ("{sg:0}:job:1:steps", "{sg:*}:job:*:steps", True),
        ("{sg:0}:job:steps", "{sg:*}:job:*:steps", False),
        ("aa", "aa*aa", False),
        ("x{sg:0}", "{sg:0}", False),
    ],
)
def test_patterns_know_only_the_star(name: str, pattern: str, fits: bool) -> None:
    assert leftovers.matches(name, [pattern]) is fits


def test_an_absent_tool_skips_by_name_and_fails_when_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tools.require("git") == shutil.which("git")
    monkeypatch.setenv("SLUICEGATE_TEST_STRICT", "0")
    with pytest.raises(pytest.skip.Exception, match="needs no-such-tool"):
        tools.require("no-such-tool")
    monkeypatch.setenv("SLUICEGATE_TEST_STRICT", "1")
    with pytest.raises(pytest.fail.Exception, match="needs no-such-tool"):
        tools.require("no-such-tool")


async def test_waiting_says_what_it_waited_for() -> None:
    seen: list[int] = []

    async def three() -> bool:
        seen.append(0)
        return len(seen) == 3

    assert await until(three, "three looks") is True
    with pytest.raises(TimedOut, match=r"the end of days: not within 0.02 s; last seen: \[\]"):
        await until(list, "the end of days", timeout=0.02)
    with pytest.raises(TimedOut, match="never"):
        until_sync(lambda: None, "never", timeout=0.02)


def test_the_fake_goes_on_after_an_error_and_skips_the_shebang() -> None:
    with fake_redis() as url, redis.Redis.from_url(url, protocol=2, single_connection_client=True) as client:
        script = "#!lua flags=allow-oom\nreturn redis.call('INCR', KEYS[1])"
        with pytest.raises(redis.exceptions.NoScriptError):
            client.evalsha("0" * 40, 1, "n")
        assert client.eval(script, 1, "n") == 1
        assert client.evalsha(client.script_load(script), 1, "n") == 2
