"""What waits though no live worker may take it, as metrics and alerts see it."""

from __future__ import annotations

import pytest

from sluicegate.model import Policy
from sluicegate.store import waiting_work
from sluicegate.store.connection import Store
from sluicegate.store.waiting_work import Stranded, stranded
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, now_ms


@pytest.fixture
def builder(store: Store) -> JobBuilder:
    return JobBuilder(store)


async def test_what_fits_no_worker_is_counted_and_its_age_known(store: Store, builder: JobBuilder) -> None:
    """Q-4, Q-19: by type, repository and capabilities, each worker for itself."""
    before = await now_ms(store)
    await builder.waiting(type="work")
    await builder.waiting(type="other", affinity_key="a")
    for priority in (0, 0, 900, -3):
        await builder.waiting(capabilities=("gpu", "git"), priority=priority)
    await builder.delayed(type="elsewhere")
    whole = await contents(store)
    able = [
        Policy(types=("work", "other"), capabilities=("gpu",)),
        Policy(types=("x",), capabilities=("git",)),
    ]
    found = await stranded(store, able)
    assert (found.lanes, found.jobs) == (3, 4)
    assert found.since_ms is not None
    assert before <= found.since_ms <= await now_ms(store)
    assert await contents(store) == whole
    assert await stranded(store, [Policy(capabilities=("gpu", "git"))]) == Stranded()
    assert (await stranded(store, [])).jobs == 6, "nobody is there"


async def test_a_job_without_a_repository_is_nothing_for_a_list_of_them(
    store: Store, builder: JobBuilder
) -> None:
    """Q-3."""
    await builder.waiting(repository="github.com/acme/a")
    assert await stranded(store, [Policy(repositories=("github.com/acme/a",))]) == Stranded()
    await builder.waiting(repository=None)
    assert (await stranded(store, [Policy(repositories=("github.com/acme/a",))])).jobs == 1


async def test_a_look_reads_no_more_lanes_than_it_may(
    store: Store, builder: JobBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cost does not grow with the queue: the lanes that are next to be claimed are looked at."""
    monkeypatch.setattr(waiting_work, "MOST_LANES", 2)
    for priority in (1, 2, 3):
        await builder.waiting(priority=priority)
    assert (await stranded(store, [])).lanes == 2
