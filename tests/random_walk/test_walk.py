"""Whatever order things happen in, each has one outcome, and the store and the model agree about it (C-13).

After each step: one place per job, all indexes agreeing, one valid token, nothing written while paused or by
a refusal, no attempt after a cancel, histories that only grow, pause versions that only grow (DESIGN 7).
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
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.timeout(600)
def test_a_walk(walk: type[Walk]) -> None:
    """C-1, C-2, C-4, C-5, C-6, C-13, P-1, P-2, P-4, P-5, P-6, P-10, Q-9, Q-16: whatever two workers, two
    operators and the sweeper do, in any order, late and again."""
    run(walk, examples=25, steps=25)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_long_walk(walk: type[Walk], part: int) -> None:
    """C-13, Q-9, and much longer, in parts that several processes share; SLUICEGATE_TEST_WALK sets the number
    of examples of all parts."""
    run(walk, examples=int(os.environ.get("SLUICEGATE_TEST_WALK", "200")) // PARTS, steps=40)
    print(f"{walk.steps} steps")
