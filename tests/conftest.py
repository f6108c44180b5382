"""Fixtures that every test may use, and the checks that follow every test."""

from __future__ import annotations

import gc
import inspect
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hypothesis
import pytest

from sluicegate import keys
from sluicegate.settings import PREFIX, Settings
from sluicegate.store.connection import Store
from tests.support import cgroups, leftovers, scratch, store_server, tools
from tests.support.fake_redis import fake_redis


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        tools.require(*mark.args)


def pytest_configure() -> None:
    """No timing decides a test, neither one of generated cases. Folders of tests that passed go at once."""
    scratch.write_in_memory()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in the background of a script. What the tests start inherits it, and some of that they interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looking for garbage takes half of the time meanwhile, and what is collected here stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    store_server.close_clients()


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` means: each starts its own stores, and one store cannot be shared.

    Most tests wait for processes, so that even one core has work for two; a third on two cores only gets in
    their way. They hash with one seed: a test's name may hold a set, and all must name it alike.
    """
    os.environ.setdefault("PYTHONHASHSEED", str(random.randrange(2**32)))
    if store_server.is_named():
        return 0
    return min(max(os.cpu_count() or 1, 2), 8)


def pytest_make_parametrize_id(config: pytest.Config, val: object) -> str | None:
    """The same in every process: the order of a set is not."""
    return ",".join(sorted(map(str, val))) if isinstance(val, set | frozenset) else None


@pytest.fixture(scope="session", autouse=True)
def _plain_environment(_named_store: str | None) -> Iterator[None]:
    """Settings of whoever runs the tests do not reach them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith(PREFIX)]:
            if not name.startswith(f"{PREFIX}TEST_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cgroup_of_its_own() -> Iterator[None]:
    with cgroups.moved_into_one():
        yield


@pytest.fixture(scope="session")
def _named_store() -> str | None:
    return store_server.named_by_environment()


@pytest.fixture(scope="session")
def valkey_url(_named_store: str | None) -> Iterator[str]:
    """A real Valkey, started once; or the server that the environment names."""
    if _named_store:
        yield _named_store
        return
    yield from _for_the_session(store_server.valkey)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Debian's Redis, started once."""
    yield from _for_the_session(store_server.debian_redis)


def _for_the_session(server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    before = leftovers.children()
    with server() as url:
        leftovers.LASTING.update(leftovers.children() - before)
        yield url


@pytest.fixture
def store_kind() -> str:
    """`valkey`; tests/transitions runs each case on `fakeredis`, `valkey` and `redis`."""
    return "valkey"


@pytest.fixture
def store_url(store_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty store. What a test leaves in it has an expiry or is on the permanent list."""
    if store_kind == "fakeredis":
        with fake_redis() as url:
            yield url
        return
    url = request.getfixturevalue(f"{store_kind}_url")
    store_server.flush(url)
    yield url
    left = leftovers.keys_left(url, [leftovers.pattern(each) for each in keys.PERMANENT])
    assert not left, f"keys without an expiry that are not on the permanent list: {left}"


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """Settings on an empty store, with backoffs that a test can wait for."""
    return Settings(
        redis_url=store_url,
        data_dir=tmp_path / "data",
        retry_backoff_base_seconds=0.05,
        retry_backoff_factor=2.0,
        retry_backoff_cap_seconds=0.2,
        retry_backoff_jitter=0.0,
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """An open store, initialised and empty."""
    opened = await Store.open(settings)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No asyncio task and no child process outlives its test."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_no_task_left")
    before = leftovers.started()
    yield
    left = leftovers.processes_left(before)
    assert not left, f"child processes left behind: {left}"


@pytest.fixture
async def _no_task_left() -> AsyncIterator[None]:
    yield
    left = await leftovers.tasks_left()
    assert not left, f"asyncio tasks left behind: {left}"
