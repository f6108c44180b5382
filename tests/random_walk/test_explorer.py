"""Every interleaving of few jobs, workers and operators, each call in each state, on the real store (C-13).

A failure is a list of calls: the shortest way from an empty store to the disagreement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from sluicegate.settings import Settings
from sluicegate.store.connection import Store
from tests.random_walk import calls
from tests.random_walk.alphabet import DRAIN, QUIESCE, Size
from tests.random_walk.explorer import Explorer
from tests.random_walk.snapshots import Line
from tests.random_walk.wishes import Asked
from tests.support.job_builder import HOUR_MS, JobBuilder

AT_ONCE: Final = (calls.NO_WAIT,)
ENDS: Final = (
    *("complete", "fail", "release", "cancel", "cancel_ack", "expire_leases", "redrive"),
    "lease ends",
)
UNPAUSED: Final = (
    *(
        "pause",
        "heartbeat",
        "fail",
        "cancel_ack",
        "cancel",
        "expire_leases",
        "condemn",
        "retention",
        "redrive",
    ),
    "lease ends",
)
"""What no narrower pause changes anything about."""
HOLDS: Final = (
    Asked("pause", "ann", hard=True),
    Asked("takeover", "bob"),
    Asked("resume", "ann"),
    Asked("retry_step", "bob", recovery='{"stepId":"build"}'),
)
SMALL: Final[dict[str, Callable[[JobBuilder], Size]]] = {
    "a job, a worker, operators": lambda made: Size(
        (made.submission(max_attempts=1),),
        workers=("w1",),
        most_releases=0,
        backoffs=AT_ONCE,
        pauses=(DRAIN,),
        examined=25,
    ),
    "a job, two workers, no pause": lambda made: Size(
        (made.submission(max_attempts=1),),
        backoffs=AT_ONCE,
        pauses=(),
        most={"pause": 0, "condemn": 0, "retention": 0},
        examined=25,
    ),
    "a job that narrower pauses hold": lambda made: Size(
        (made.submission("held", max_attempts=1),),
        workers=("w1",),
        most_releases=0,
        backoffs=AT_ONCE,
        pauses=(QUIESCE,),
        narrow=("type=held", "worker=w1"),
        most=dict.fromkeys(UNPAUSED, 0),
        examined=25,
    ),
    "a run that is held": lambda made: Size(
        (made.submission(max_attempts=2),),
        workers=("w1",),
        most_releases=0,
        backoffs=AT_ONCE,
        pauses=(),
        controls=HOLDS[2:],
        most={"pause": 0, "condemn": 0, "retention": 0, "cancel": 0, "complete": 0, "control": 2},
        examined=25,
    ),
}
LARGE: Final[dict[str, Callable[[JobBuilder], Size]]] = {
    "a job, a worker, all that there is": lambda made: Size(
        (made.submission(max_attempts=2, max_run_ms=HOUR_MS),),
        workers=("w1",),
        pauses=(QUIESCE,),
        examined=50,
    ),
    "two jobs, two workers": lambda made: Size(
        (made.submission(max_attempts=1), made.submission(max_attempts=1)),
        alike=True,
        most_releases=0,
        backoffs=AT_ONCE,
        pauses=(DRAIN,),
        most=dict.fromkeys(("enqueue", "claim"), 2)
        | dict.fromkeys(ENDS, 1)
        | dict.fromkeys(("pause", "condemn", "retention"), 0),
        examined=50,
    ),
    "a job that narrower pauses hold, and one beside it": lambda made: Size(
        (made.submission("held", repository="host/r", max_attempts=1), made.submission("free", priority=-5)),
        workers=("w1",),
        backoffs=AT_ONCE,
        pauses=(QUIESCE,),
        narrow=("type=held", "repository=host/r"),
        most=dict.fromkeys(UNPAUSED, 0) | {"complete": 0, "claim": 2, "release": 1, "pause_some": 2},
        examined=50,
    ),
    "a run that is held and taken over": lambda made: Size(
        (made.submission(max_attempts=2),),
        workers=("w1",),
        most_releases=0,
        backoffs=AT_ONCE,
        pauses=(),
        controls=HOLDS,
        most={"pause": 0, "condemn": 0, "retention": 0, "cancel": 0, "control": 2},
        examined=50,
    ),
}


@pytest.fixture
def explorer(settings: Settings) -> Iterator[Explorer]:
    """On an empty store, with a loop of its own: most of its work is on a connection that needs none."""
    with asyncio.Runner() as runner:
        store = runner.run(Store.open(settings))
        line = Line(settings.redis_url)
        try:
            yield Explorer(store, line, runner)
        finally:
            line.close()
            runner.run(store.command("FLUSHDB"))
            runner.run(store.close())


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [each if at == 0 else pytest.param(each, marks=pytest.mark.slow) for at, each in enumerate(SMALL)]
)
def test_a_small_world(explorer: Explorer, name: str) -> None:
    """C-1, C-2, C-4, C-5, C-6, C-13, P-1, P-2, P-4, P-5, P-6, P-10, Q-9, Q-16: each call in each state, and
    from each state every job can still come to its end, where nothing is counted."""
    size = SMALL[name](JobBuilder(explorer.store))
    explore(explorer, size)
    assert any(size.most.values()) or explorer.stuck() == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", LARGE)
def test_a_larger_world(explorer: Explorer, name: str) -> None:
    """C-13, Q-9 and the other rows of the small ones, with retries, backoffs, time limits, with two jobs."""
    size = LARGE[name](JobBuilder(explorer.store))
    explore(explorer, size)
    assert any(size.most.values()) or explorer.stuck() == []


def explore(explorer: Explorer, size: Size) -> None:
    explorer.explore(size)
    edges = sum(map(len, explorer.edges))
    print(
        f"{len(explorer.states)} states, {edges} edges, {explorer.calls} calls, of which {explorer.refused} "
        f"changed nothing; {explorer.ways(10)} sequences of 10 calls that do"
    )
