"""drop_steps: finished steps that are to run again are forgotten, under the lease."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import LeaseLost
from sluicegate.store import endings, shelves
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made
from tests.transitions.test_attach import checkpoint, save


async def with_steps(store: Store, builder: JobBuilder, *indices: int) -> Made:
    made = await builder.running()
    for index in indices:
        await save(store, made, checkpoint(index))
    return made


async def drop(store: Store, made: Made, first: int) -> int:
    return await shelves.drop_steps(store, made.worker, made.job_id, made.token, first)


async def test_the_steps_from_one_on_are_forgotten(store: Store, builder: JobBuilder) -> None:
    """70-24: and no others; by their numbers, not by how those are written."""
    made = await with_steps(store, builder, 0, 1, 2, 9, 10, 11)
    before = await contents(store)
    assert await drop(store, made, 2) == 4
    assert changed(before, await contents(store)) == {f"job:{made.job_id}:steps"}
    assert await shelves.steps(store, made.job_id) == [checkpoint(0), checkpoint(1)]


async def test_again_changes_nothing(store: Store, builder: JobBuilder) -> None:
    made = await with_steps(store, builder, 0, 1)
    await drop(store, made, 1)
    before = await contents(store)
    assert await drop(store, made, 1) == 0
    assert await contents(store) == before


async def test_all_of_them_leave_no_key(store: Store, builder: JobBuilder) -> None:
    made = await with_steps(store, builder, 0, 1)
    assert await drop(store, made, 0) == 2
    assert await store.command("EXISTS", keys.job_shelf(made.job_id, "steps")) == 0
    assert await drop(store, made, 0) == 0


@pytest.mark.parametrize("case", fences.cases("drop_steps"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)

    async def call() -> list[list[str]]:
        return [await store.run("drop_steps", worker=made.worker, id=made.job_id, token=made.token, first=0)]

    await fences.refuses(store, call, case.word)


async def test_a_former_holder_drops_nothing(store: Store, builder: JobBuilder) -> None:
    made = await with_steps(store, builder, 0)
    await builder.ended(made, endings.Release(made.job_id, made.token))
    with pytest.raises(LeaseLost):
        await drop(store, made, 0)
    assert await shelves.steps(store, made.job_id) == [checkpoint(0)]
