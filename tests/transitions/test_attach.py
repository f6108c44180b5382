"""attach: step checkpoints, the artifact index and facts, kept with the job under its lease."""

from __future__ import annotations

import pytest
from msgspec import structs

from sluicegate import keys
from sluicegate.errors import LeaseLost, NotFound, TooLarge
from sluicegate.store import endings, shelves
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made


def checkpoint(step_index: int, summary: str = "done") -> shelves.StepCheckpoint:
    return shelves.StepCheckpoint(
        step_id=f"step-{step_index + 1}", step_index=step_index, attempt=1, diff_hash="d", tree_hash="t",
        changed_files=[], summary=summary, finished_at="2026-01-01T00:00:00.000Z", patch_artifact="p",
    )  # fmt: skip


async def save(store: Store, made: Made, step: shelves.StepCheckpoint) -> None:
    await shelves.save_step(store, made.worker, made.job_id, made.token, step)


async def test_steps_come_back_in_order(store: Store, builder: JobBuilder) -> None:
    """Also after a release, for the next worker (Q-14)."""
    made = await builder.running()
    before = await contents(store)
    for step_index in (10, 0, 2):
        await save(store, made, checkpoint(step_index))
    assert changed(before, await contents(store)) == {f"job:{made.job_id}:steps"}
    await builder.ended(made, endings.Release(made.job_id, made.token))
    assert await shelves.steps(store, made.job_id) == [checkpoint(at) for at in (0, 2, 10)]


async def test_the_same_name_again_replaces(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    await save(store, made, checkpoint(0, "first"))
    await save(store, made, checkpoint(0, "second"))
    assert await shelves.steps(store, made.job_id) == [checkpoint(0, "second")]


@pytest.mark.parametrize("value", ["abc", "LEASE_LOST", "JOB_NOT_FOUND", ""])
async def test_the_first_value_of_a_fact_stays(store: Store, builder: JobBuilder, value: str) -> None:
    """Whatever the value is: one that read like a refusal was once taken for it."""
    made = await builder.running()
    assert await shelves.state_fact(store, "worker-1", made.job_id, made.token, "fact", value) == value
    before = await contents(store)
    assert await shelves.state_fact(store, "worker-1", made.job_id, made.token, "fact", "another") == value
    assert await contents(store) == before


async def test_a_fact_that_changes_has_its_last_value(store: Store, builder: JobBuilder) -> None:
    """H-2: what a budget has left of it; after a release the next worker reads it."""
    made = await builder.running()
    for value in ("1", "2"):
        await shelves.change_fact(store, "worker-1", made.job_id, made.token, "used", value)
    await shelves.state_fact(store, "worker-1", made.job_id, made.token, "first", "a")
    await builder.ended(made, endings.Release(made.job_id, made.token))
    assert await shelves.facts(store, made.job_id) == {"used": "2", "first": "a"}
    with pytest.raises(LeaseLost):
        await shelves.change_fact(store, "worker-1", made.job_id, made.token, "used", "3")


def artifact(made: Made, name: str, number: int = 1) -> shelves.Artifact:
    return shelves.Artifact(
        id=f"{number}", job_id=made.job_id, name=name, content_type="text/plain", size_bytes=number,
        digest="d", created_at="2026-01-01T00:00:00.000Z",
    )  # fmt: skip


async def record(store: Store, made: Made, each: shelves.Artifact) -> shelves.Artifact | None:
    return await shelves.record_artifact(store, made.worker, made.token, each)


async def test_who_replaces_an_artifact_is_told_which(store: Store, builder: JobBuilder) -> None:
    """70-15: nobody else is, so one caller alone removes its content; a repeated call is not told again."""
    made = await builder.running()
    first, second = artifact(made, "log", 1), artifact(made, "log", 2)
    assert await record(store, made, first) is None
    assert await record(store, made, first) is None
    assert await record(store, made, artifact(made, "other")) is None
    assert await record(store, made, second) == first
    assert await record(store, made, second) is None
    assert await shelves.artifacts(store, made.job_id) == [second, artifact(made, "other")]
    assert await shelves.artifact(store, made.job_id, "2") == second
    with pytest.raises(NotFound) as caught:
        await shelves.artifact(store, made.job_id, "3")
    assert caught.value.code == "artifact_not_found"


async def test_a_job_has_so_many_artifacts_and_no_more(store: Store, builder: JobBuilder) -> None:
    """DESIGN 7, 9: a number that a setting bounds; what is there can still be replaced."""
    made = await builder.running()
    store.settings = structs.replace(store.settings, max_job_artifacts=2)
    for name in ("a", "b"):
        await record(store, made, artifact(made, name))
    before = await contents(store)
    with pytest.raises(TooLarge) as caught:
        await record(store, made, artifact(made, "c"))
    assert caught.value.code == "artifact_too_large"
    assert await contents(store) == before
    assert await record(store, made, artifact(made, "b", 2)) == artifact(made, "b")


@pytest.mark.parametrize("case", fences.cases("attach"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)

    async def call() -> list[list[str]]:
        reply = await store.run(
            "attach", worker=made.worker, id=made.job_id, token=made.token, shelf="facts", name="n",
            value="v", once=0, most=0,
        )  # fmt: skip
        return [reply]

    await fences.refuses(store, call, case.word)


async def test_a_former_holder_keeps_nothing(store: Store, builder: JobBuilder) -> None:
    made = await builder.returned()
    with pytest.raises(LeaseLost):
        await save(store, made, checkpoint(0))
    assert await store.command("EXISTS", keys.job_shelf(made.job_id, "steps")) == 0
