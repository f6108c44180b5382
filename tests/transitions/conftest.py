"""Each transition runs on Valkey, and as slow tests on Redis and on fakeredis (no faster than a server)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from sluicegate.settings import Settings
from sluicegate.store import invariants
from sluicegate.store.connection import Store
from tests.support.job_builder import JobBuilder


@pytest.fixture(
    params=[
        pytest.param("fakeredis", marks=pytest.mark.slow),
        "valkey",
        pytest.param("redis", marks=(pytest.mark.needs("redis-server"), pytest.mark.slow)),
    ]
)
def store_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With time for the fake store: sixty claims at once take it seconds, on a busy machine many."""
    return structs.replace(settings, redis_timeout_ms=60_000)


@pytest.fixture
async def builder(store: Store, store_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[JobBuilder]:
    """Makes jobs; what the test leaves behind agrees with itself, unless it damages the store on purpose.

    The check is for real servers: the fake one takes a hundred times as long for so many reads.
    """
    yield JobBuilder(store)
    if store_kind != "fakeredis" and "damages_the_store" not in request.keywords:
        assert await invariants.check(store) == []
