"""What happens at once, on many connections, is one of the orders that the model allows (C-13, Q-9, Q-16).

A failure names its round, the longest order that explains a part, and what does not fit after it. The luck of
a round is drawn from its number, its timing is not: repeat it a few times.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import msgspec
import pytest

from sluicegate.settings import Settings
from sluicegate.store import invariants
from tests.random_walk import comparison
from tests.random_walk.linear import Run, Search, explain
from tests.random_walk.model import Model
from tests.random_walk.racing import Race, TroubledStore
from tests.support.job_builder import now_ms

ROUNDS = 25


@pytest.fixture
async def troubled(settings: Settings) -> AsyncIterator[TroubledStore]:
    """Without waits, so that a job that comes back can be claimed; with time enough for every answer."""
    changed = {"retry_backoff_base_seconds": 0.0, "max_releases": 1, "redis_timeout_ms": 60_000}
    opened = await TroubledStore.open(msgspec.structs.replace(settings, **changed))
    try:
        yield opened
    finally:
        await opened.close()


async def race(store: TroubledStore, number: int) -> Search:
    """One round on an empty store, and the order that explains it."""
    await store.command("FLUSHDB")
    await store.initialise()
    competitors = Race(store, number)
    runs = await competitors.run()
    seen = await comparison.see(store, competitors.ids, await now_ms(store))
    there = {job_id for job_id, stored in seen.jobs.items() if stored.fields}

    def fits(model: Model) -> bool:
        try:
            comparison.agree(model, seen, times=False)
        except AssertionError:
            return False
        return there == model.jobs.keys()

    search = explain(Model(), runs, fits)
    assert search.found, told(number, search, runs)
    assert await invariants.check(store) == []
    return search


def told(number: int, search: Search, runs: list[Run]) -> str:
    rest = [run for run in runs if run not in search.order]
    return "\n".join(
        [f"round {number}: no order explains what happened. The longest that does:"]
        + [f"{run.began:4}..{run.ended:<4} {run.call} -> {run.answer}" for run in search.order]
        + ["and then none of these fits:"]
        + [
            f"{run.began:4}..{run.ended:<4} {run.call} -> {run.answer}"
            for run in sorted(rest, key=lambda run: run.began)
        ]
    )


async def test_a_few_races(troubled: TroubledStore) -> None:
    """C-13, Q-9, Q-16: claims, ends, expiry, cancels, redrives, purges and pauses at once, with lost replies,
    lost requests, and requests that arrive after their repeat."""
    for number in range(ROUNDS):
        await race(troubled, number)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_many_races(troubled: TroubledStore) -> None:
    """C-13, Q-9, Q-16, ten times as many; SLUICEGATE_TEST_WALK sets how many."""
    calls = looked_at = 0
    for number in range(ROUNDS, ROUNDS + int(os.environ.get("SLUICEGATE_TEST_WALK", "250"))):
        search = await race(troubled, number)
        calls += len(search.order)
        looked_at += search.looked_at
    print(f"{calls} calls, {looked_at} states looked at")
