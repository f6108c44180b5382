"""Whatever order things happen in, each has one outcome, and the store and the model agree about it (C-13).

Invariants of DESIGN 7 after each step: one place per job, all indexes agreeing, one valid token, nothing
written while paused, no attempt after a cancel, histories that only grow, pause versions that only grow.
Hypothesis prints the steps that reproduce a failure, shrunk, as a test to paste.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sluicegate.settings import Settings
from sluicegate.store.connection import Store
from tests.random_walk.walk import Walk

PARTS = 4


@pytest.fixture
def walk(settings: Settings) -> Iterator[type[Walk]]:
    """A walk on an empty store, with a loop of its own: Hypothesis calls rules from plain functions."""
    with asyncio.Runner() as runner:
        store = runner.run(Store.open(settings))

        class OnThisStore(Walk):
            pass

        OnThisStore.store, OnThisStore.runner = store, runner
        try:
            yield OnThisStore
        finally:
            runner.run(store.close())


def run(walk: type[Walk], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        walk,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )


def test_a_walk(walk: type[Walk]) -> None:
    """C-13, Q-9: cancel, claim, complete, fail, retry, expiry, redrive and pause in any order."""
    run(walk, examples=100, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_long_walk(walk: type[Walk], part: int) -> None:
    """C-13, Q-9, ten times as long, in parts that several processes share; SLUICEGATE_TEST_WALK sets the
    number of examples of all parts."""
    run(walk, examples=int(os.environ.get("SLUICEGATE_TEST_WALK", "1000")) // PARTS, steps=40)
    print(f"{walk.steps} steps")
