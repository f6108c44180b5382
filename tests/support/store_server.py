"""Stores for tests: the embedded Valkey, Debian's Redis, or a server that the environment names."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from sluicegate.dev.embedded_store import EmbeddedStore, free_port, ping
from sluicegate.dev.tethered import tethered
from tests.support import tools
from tests.support.wait import until_sync


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of an embedded store that writes nothing to disk."""
    with (
        tempfile.TemporaryDirectory(prefix="sluicegate-test-") as folder,
        EmbeddedStore(folder, persistent=False) as store,
    ):
        yield store.url


@contextmanager
def debian_redis() -> Iterator[str]:
    """The URL of a `redis-server` that writes nothing to disk; the caller is skipped where it is absent."""
    binary = tools.require("redis-server")
    with tempfile.TemporaryDirectory(prefix="sluicegate-test-") as folder:
        port = free_port()
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        arguments += ["--appendonly", "no", "--maxmemory-policy", "noeviction", "--loglevel", "warning"]
        process = subprocess.Popen(
            tethered([binary, *arguments], end_with=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until_sync(lambda: ping(port) == b"+PONG", f"redis-server answers on port {port}")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


def flush(url: str) -> None:
    """Empty the database, and only that one."""
    client(url).flushdb()


_clients: dict[str, redis.Redis] = {}


def client(url: str) -> redis.Redis:
    """One for the whole session: to make one takes longer than what is asked of it."""
    if url not in _clients:
        _clients[url] = redis.Redis.from_url(url, protocol=2, decode_responses=True)
    return _clients[url]


def close_clients() -> None:
    while _clients:
        _clients.popitem()[1].close()


def is_named() -> bool:
    """Whether the tests use a server that is there, of which there is one only."""
    return bool(os.environ.get("SLUICEGATE_TEST_REDIS") or os.environ.get("SLUICEGATE_REDIS_URL"))


def named_by_environment() -> str | None:
    """The server that the tests are told to use instead of starting one.

    SLUICEGATE_TEST_REDIS names a database that the tests may empty. SLUICEGATE_REDIS_URL may be the store
    of a deployment, so it is only taken while it is empty.
    """
    if url := os.environ.get("SLUICEGATE_TEST_REDIS"):
        return url
    if not (url := os.environ.get("SLUICEGATE_REDIS_URL")):
        return None
    with redis.Redis.from_url(url, protocol=2) as client:
        if client.dbsize():
            pytest.exit("the database behind SLUICEGATE_REDIS_URL is not empty; tests would empty it", 2)
    return url
