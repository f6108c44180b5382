"""Supervision: restarted after a crash, given up when it does not help, ended in order (70-36)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from sluicegate.dev import kept_store, service_process
from sluicegate.dev.embedded_store import EmbeddedStore, ping
from sluicegate.dev.kept_store import KeptStore
from sluicegate.dev.service_process import CrashLoopError, Service, ServiceProcess
from sluicegate.dev.supervisor import WORKER, Supervisor
from sluicegate.errors import StoreUnavailable
from tests.support.wait import until


def stand_in(name: str = "stand_in", *, stop_seconds: float = 10.0, **environment: str) -> ServiceProcess:
    service = Service(
        name=name,
        module="tests.unit.dev.stand_in",
        port_variable="STAND_IN_PORT",
        stop_seconds=stop_seconds,
        first_to_stop=name == WORKER.name,
    )
    variables = {"STAND_IN_NAME": name, **environment}
    return ServiceProcess(service, lambda: variables, subprocess.DEVNULL)


async def answers(process: ServiceProcess) -> dict[str, Any]:
    """What the stand-in says about itself; {} while it does not answer."""
    if process.url is None:
        return {}
    async with aiohttp.ClientSession() as session:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(process.url + "/settings") as answer:
                return dict(await answer.json())
    return {}


async def heard(process: ServiceProcess) -> dict[str, Any]:
    """What the stand-in says about itself, as soon as it says anything."""

    async def ask() -> dict[str, Any]:
        return await answers(process)

    condition: Callable[[], Awaitable[dict[str, Any]]] = ask
    said: dict[str, Any] = await until(condition, f"{process.service.name} answers")
    return said


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Supervisor]:
    """A store and two services, running; whatever happened to them, they are stopped at the end."""
    stopped = str(tmp_path / "stopped")
    services = [stand_in(each, STAND_IN_STOPPED=stopped) for each in ("api", "worker")]
    supervisor = Supervisor(KeptStore(EmbeddedStore(tmp_path)), services)
    await supervisor.start()
    try:
        for each in services:
            await heard(each)
        yield supervisor
    finally:
        await supervisor.stop()


async def test_services_get_their_port_and_settings(supervised: Supervisor) -> None:
    for name, process in supervised.services.items():
        said = await answers(process)
        assert said["STAND_IN_NAME"] == name
        assert said["STAND_IN_PORT"] == str(process.port)
        assert said["PATH"] == os.environ["PATH"]


async def test_a_crashed_service_is_restarted_and_found_again(supervised: Supervisor) -> None:
    """70-36: killed, it comes back, on whatever port it has then."""
    process = supervised.services["api"]
    first = (await answers(process))["pid"]
    process.kill()
    await until(lambda: process.restarts == 1, "the restart")
    second = (await heard(process))["pid"]
    assert second != first
    assert not psutil.pid_exists(first)


async def test_everything_ends_in_order_and_nothing_is_left(supervised: Supervisor, tmp_path: Path) -> None:
    """70-36: the worker first, the store last; stopping twice is stopping once."""
    pids = [each.pid for each in supervised.services.values()]
    assert supervised.store
    pids.append(supervised.store.store.pid)
    port = supervised.store.store.port
    await asyncio.gather(supervised.stop(), supervised.stop())
    await supervised.stop()
    assert (tmp_path / "stopped").read_text().split() == ["worker", "api"]
    assert [each for each in pids if each is None or psutil.pid_exists(each)] == []
    assert ping(port) == b""


async def test_a_killed_store_comes_back_on_its_port_with_its_data(supervised: Supervisor) -> None:
    """70-36: a killed store is restarted."""
    assert supervised.store
    store = supervised.store.store
    before, port = store.pid, store.port
    psutil.Process(before).kill()
    await until(lambda: supervised.store and supervised.store.restarts == 1, "the store's restart")
    assert store.pid != before
    assert (store.port, ping(port)) == (port, b"+PONG")


async def test_a_store_that_cannot_come_back_is_a_failure(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """70-36: or `dev` ends non-zero: that is what `failure` is for."""
    assert supervised.store
    monkeypatch.setattr(kept_store, "FIRST_WAIT_SECONDS", 0.001)
    store = supervised.store.store
    next(store.folder.glob("appendonlydir/*.manifest")).write_text("not a manifest\n")
    psutil.Process(store.pid).kill()
    failure = await asyncio.wait_for(supervised.failure(), 10)
    assert isinstance(failure, StoreUnavailable)
    assert "manifest" in failure.detail


async def test_a_store_that_is_made_to_crash_is_away_for_its_time_and_comes_back(
    supervised: Supervisor,
) -> None:
    """Meanwhile nobody else starts it."""
    assert supervised.store
    store = supervised.store.store
    before = store.pid
    crash = asyncio.create_task(supervised.store.crash(0.5))
    await until(lambda: ping(store.port) == b"", "it is away")
    await crash
    assert store.pid != before
    assert ping(store.port) == b"+PONG"


async def test_a_service_that_is_killed_again_and_again_is_not_given_up(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is no failure of its own."""
    monkeypatch.setattr(service_process, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(service_process, "MAX_FAILURES", 2)
    process = supervised.services["api"]
    for times in range(1, 4):
        process.kill()
        await until(lambda times=times: process.restarts == times and process.pid, "the restart")
    await heard(process)


async def test_a_service_that_always_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_process, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(service_process, "MAX_FAILURES", 3)
    process = stand_in("api", STAND_IN_EXIT="3")
    supervisor = Supervisor(None, [process])
    await supervisor.start()
    failure = await asyncio.wait_for(supervisor.failure(), 20)
    assert isinstance(failure, CrashLoopError)
    assert failure.detail.startswith("api ended 3 times in a row, last with status 3")
    await supervisor.stop()


async def test_a_deaf_service_is_killed_after_its_time() -> None:
    process = stand_in("api", stop_seconds=0.2, STAND_IN_DEAF="1")
    supervisor = Supervisor(None, [process])
    await supervisor.start()
    pid = (await heard(process))["pid"]
    await supervisor.stop()
    assert not psutil.pid_exists(pid)


async def test_a_second_request_to_stop_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sluicegate.dev.supervisor.HARD_STOP_SECONDS", 0.1)
    process = stand_in("worker", stop_seconds=600, STAND_IN_DEAF="1")
    store = KeptStore(EmbeddedStore(tmp_path))
    supervisor = Supervisor(store, [process])
    await supervisor.start()
    pid = (await heard(process))["pid"]
    ordinary = asyncio.create_task(supervisor.stop())
    await asyncio.wait_for(supervisor.stop_now(), 10)
    await ordinary
    assert not psutil.pid_exists(pid)
    assert not store.store.alive


async def test_two_requests_that_come_together_are_two(tmp_path: Path) -> None:
    """70-41: a worker with no time to see the first SIGTERM saw one in all, and was killed."""
    stopped = tmp_path / "stopped"
    process = stand_in("worker", stop_seconds=600, STAND_IN_BUSY="1", STAND_IN_STOPPED=str(stopped))
    supervisor = Supervisor(None, [process])
    await supervisor.start()
    pid = (await heard(process))["pid"]
    os.kill(pid, signal.SIGSTOP)
    ordinary = asyncio.create_task(process.stop())
    await asyncio.sleep(0)  # it has sent its signal
    process.hurry()
    os.kill(pid, signal.SIGCONT)
    await asyncio.wait_for(ordinary, 10)
    await supervisor.stop()
    assert stopped.read_text() == "worker\n"


async def test_stopped_before_the_start_nothing_ever_runs(tmp_path: Path) -> None:
    process = stand_in()
    supervisor = Supervisor(KeptStore(EmbeddedStore(tmp_path)), [process])
    await supervisor.stop()
    await asyncio.wait_for(process.keep_running(), 1)
    assert process.pid is None


async def test_stopped_in_mid_start_nothing_is_left(tmp_path: Path) -> None:
    supervisor = Supervisor(KeptStore(EmbeddedStore(tmp_path)), [stand_in()])
    start = asyncio.create_task(supervisor.start())
    await until((tmp_path / "store" / "valkey.log").exists, "the store is being started")
    start.cancel()
    await supervisor.stop()
    with contextlib.suppress(asyncio.CancelledError, StoreUnavailable):
        await start
    assert supervisor.store
    assert not supervisor.store.store.alive
