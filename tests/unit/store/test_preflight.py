"""Before jobs are entrusted to a store: an unsafe one is refused, of a doubtful one a warning is logged."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from sluicegate.errors import ConfigurationError, StoreFault
from sluicegate.settings import Settings
from sluicegate.store import preflight

GOOD = {
    "redis_version": "7.2.4", "role": "master", "maxmemory_policy": "noeviction", "aof_enabled": "1",
    "used_memory": "1000", "maxmemory": "100000", "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
}  # fmt: skip


class Server:
    """Answers what it is told to; hidden: the commands that it refuses."""

    def __init__(self, *hidden: str, fsync: str = "everysec", clock: float = 0.0, **info: str) -> None:
        self._info, self._fsync, self._clock, self._hidden = GOOD | info, fsync, clock, hidden

    async def __call__(self, *words: str) -> Any:
        if words[0] in self._hidden:
            raise StoreFault("unknown command")
        match words[0]:
            case "INFO":
                return "# Server\r\n" + "".join(f"{name}:{text}\r\n" for name, text in self._info.items())
            case "CONFIG":
                told = {
                    "appendfsync": self._fsync,
                    "maxmemory-policy": self._info["maxmemory_policy"],
                    "appendonly": "yes" if self._info["aof_enabled"] == "1" else "no",
                }
                return [words[2], told[words[2]]]
            case "TIME":
                return [str(int(time.time() + self._clock)), "500000"]
        raise AssertionError(words)


@pytest.mark.parametrize(
    ("server", "durability", "said"),
    [
        (Server(maxmemory_policy="allkeys-lru"), "relaxed", "maxmemory-policy is 'allkeys-lru'.*noeviction"),
        (Server("INFO", maxmemory_policy="volatile-ttl"), "relaxed", "maxmemory-policy is 'volatile-ttl'"),
        (Server(redis_version="6.2.14"), "relaxed", r"Redis 6\.2\.14.*Redis 7\.0 or newer"),
        (Server(role="slave", master_host="a", master_port="1"), "relaxed", "replica of a:1.*REDIS_URL"),
        (Server(), "local", "appendonly 'yes', appendfsync 'everysec'"),
        (Server(aof_enabled="0", fsync="always"), "local", "appendonly 'no', appendfsync 'always'"),
        (Server("CONFIG", fsync="always"), "local", "appendfsync None"),
    ],
    ids=["evicts", "evicts-no-info", "old", "replica", "not-synced", "no-aof", "hides-fsync"],
)
async def test_what_would_lose_jobs_is_refused(server: Server, durability: Any, said: str) -> None:
    """DESIGN 8: with the name of what to change."""
    with pytest.raises(ConfigurationError, match=said):
        await preflight.check(server, Settings(durability=durability))


@pytest.mark.parametrize(
    ("server", "event"),
    [
        (Server(aof_enabled="0"), "store.not_durable"),
        (Server("INFO", aof_enabled="0"), "store.not_durable"),
        (Server(aof_last_write_status="err"), "store.writes_fail"),
        (Server(rdb_last_bgsave_status="err"), "store.writes_fail"),
        (Server(maxmemory="0"), "store.memory_unlimited"),
        (Server(used_memory="90000"), "store.memory_short"),
        (Server(clock=60.0), "store.clock_differs"),
        (Server(clock=-60.0), "store.clock_differs"),
        (Server(), None),
        (Server("INFO", "CONFIG"), None),
        (Server(fsync="always", redis_version="8.0.0"), None),
    ],
)
async def test_what_may_cost_jobs_is_warned_about(
    server: Server, event: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    recorded = SimpleNamespace(warning=lambda name, **_: warned.append(name))
    monkeypatch.setattr(preflight, "log", recorded)
    await preflight.check(server, Settings())
    assert warned == ([event] if event else [])


async def test_a_real_server_is_asked_as_it_answers(store_url: str, store: Any) -> None:
    """Both servers say all that is looked at."""
    info = preflight.parsed(await store.command("INFO"))
    assert set(GOOD) <= set(info)
    preflight.refuse_unfit(info)
