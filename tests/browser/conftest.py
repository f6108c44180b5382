"""A real browser on a real control service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from playwright.async_api import Browser, async_playwright, expect

from services.control.app import build
from sluicegate.http import serving
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store.connection import Store
from tests.support import tools

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


@pytest.fixture(autouse=True)
def _patience() -> None:
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=tools.require("chromium"),
            args=ARGUMENTS,
            handle_sigint=False,
            handle_sigterm=False,
        )
        try:
            yield opened
        finally:
            await opened.close()


@pytest.fixture
async def dashboard(settings: Settings, store: Store) -> AsyncIterator[str]:
    """The address of the overview."""
    control_settings = ControlSettings(**msgspec.structs.asdict(settings))
    async with serving(build(control_settings, store), "127.0.0.1", 0) as (host, port):
        yield f"http://{host}:{port}/"
