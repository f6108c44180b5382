"""How workers reach the queue: what they promise holds whichever way it is."""

from __future__ import annotations

import pytest

from tests.support.programs import Way

SLOW_OVER_HTTP = ["redis", pytest.param("http", marks=pytest.mark.slow)]
"""For tests that take long on each: `parametrize("way", SLOW_OVER_HTTP, indirect=True)`."""


@pytest.fixture(params=["redis", "http"])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen
