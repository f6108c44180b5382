"""The two ways of workers to the queue, and a deployment for the command line."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from tests.support import leftovers
from tests.support.command_line import Deployment
from tests.support.dev_process import dev
from tests.support.programs import Way


@pytest.fixture(params=["redis", pytest.param("http", marks=pytest.mark.slow)])
def way(request: pytest.FixtureRequest) -> Way:
    """What workers promise holds whichever way they reach the queue; over HTTP it takes longer."""
    chosen: Way = request.param
    return chosen


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One for all tests of the command line, which run in one process, without a worker."""
    folder = tmp_path_factory.mktemp("cli") / "data"
    with dev(folder, "--no-worker") as running:
        leftovers.LASTING.update({psutil.Process(running.pid), *running.descendants()})
        yield Deployment(running.url)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """A job type that only this test uses."""
    return "t." + str(request.node.name).lower().replace("[", ".").replace("]", "")[:50]
