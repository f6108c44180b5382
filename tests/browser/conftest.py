"""A real browser on a real control service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from services.control.app import build
from sluicegate.http import serving
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store.connection import Store
from tests.support import leftovers, tools

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


PATIENCE_MS = 15_000
"""How long a page may take on a busy machine; a page that is right shows it in milliseconds."""


LOOP = "session"
"""The loop of all these tests: the driver of the browser takes a second to start, and lives in one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope=LOOP), append=False)


@pytest.fixture(autouse=True)
def _patience() -> None:
    expect.set_options(timeout=PATIENCE_MS)


@pytest_asyncio.fixture(scope="session", loop_scope=LOOP)
async def chromium() -> AsyncIterator[Browser]:
    """Started once, for it takes as long as most tests."""
    before = leftovers.children()
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=tools.require("chromium"),
            args=ARGUMENTS,
            handle_sigint=False,
            handle_sigterm=False,
        )
        leftovers.LASTING.update(leftovers.children() - before)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope=LOOP)
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """With no window of the last test."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope=LOOP)
async def store(settings: Settings) -> AsyncIterator[Store]:
    """An open store, initialised and empty."""
    opened = await Store.open(settings)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope=LOOP)
async def _no_task_left(chromium: Browser) -> AsyncIterator[None]:
    """The driver has tasks of its own."""
    before = asyncio.all_tasks()
    yield
    left = await leftovers.tasks_left(known=before)
    assert not left, f"asyncio tasks left behind: {left}"


@pytest_asyncio.fixture(loop_scope=LOOP)
async def dashboard(settings: Settings, store: Store) -> AsyncIterator[str]:
    """The address of the overview."""
    control_settings = ControlSettings(**msgspec.structs.asdict(settings))
    async with serving(build(control_settings, store), "127.0.0.1", 0) as (host, port):
        yield f"http://{host}:{port}/"
