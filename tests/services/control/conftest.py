"""The control service on a real store, spoken to over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import ClientSession, ClientTimeout, CookieJar

from services.control.app import build
from sluicegate.http import serving
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store.connection import Store
from tests.support.tokens import BOOTSTRAP


@pytest.fixture
def control_settings(settings: Settings) -> ControlSettings:
    """The store's settings, with keepalives that a test can wait for."""
    return ControlSettings(**msgspec.structs.asdict(settings), sse_keepalive_seconds=0.1)


@pytest.fixture
async def control_url(control_settings: ControlSettings, store: Store) -> AsyncIterator[str]:
    async with serving(build(control_settings, store), "127.0.0.1", 0) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture
async def control(control_url: str) -> AsyncIterator[ClientSession]:
    """A client of the control service: `control.get("/api/...")`."""
    async with ClientSession(control_url, timeout=ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def closed(control_settings: ControlSettings, store: Store) -> AsyncIterator[ClientSession]:
    """A browser's view of a dashboard that asks who is there: cookies are kept."""
    settings = msgspec.structs.replace(
        control_settings, auth="required", bootstrap_admin_token=BOOTSTRAP, session_key="k" * 40
    )
    async with serving(build(settings, store), "127.0.0.1", 0) as (host, port):
        jar = CookieJar(unsafe=True)
        async with ClientSession(
            f"http://{host}:{port}", cookie_jar=jar, timeout=ClientTimeout(total=10)
        ) as session:
            yield session
