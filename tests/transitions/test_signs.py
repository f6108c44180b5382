"""signs: what may need a person, read in one bounded call that changes nothing."""

from __future__ import annotations

from sluicegate import keys
from sluicegate.store import endings, signs, workers
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, now_ms


async def heard_of(store: Store, worker_id: str, *, ago_ms: int = 0) -> None:
    await store.command("ZADD", keys.WORKERS, await now_ms(store) - ago_ms, worker_id)


async def test_a_queue_at_work_has_no_signs(store: Store, builder: JobBuilder) -> None:
    await heard_of(store, "worker-1")
    await builder.running()
    await builder.waiting()
    await builder.delayed()
    before = await contents(store)
    found = await signs.read(store, old_seconds=60)
    assert (found.unheld, found.waiting, found.due_ms) == ([], [], None)
    assert await contents(store) == before


async def test_leases_that_nobody_holds_are_told(store: Store, builder: JobBuilder) -> None:
    """One that has run out, and those of workers that were not heard of for 30 s, or never."""
    stale = await builder.stale(type="a", worker="here")
    quiet = await builder.running(type="b", worker="quiet")
    never = await builder.running(type="c", worker="never")
    await heard_of(store, "here")
    await heard_of(store, "quiet", ago_ms=workers.LIVE_SECONDS * 1000 + 1000)
    found = await signs.read(store, old_seconds=60)
    assert [(each.job_id, each.worker_id) for each in found.unheld] == [
        (stale.job_id, "here"), (quiet.job_id, "quiet"), (never.job_id, "never"),
    ]  # fmt: skip
    assert found.unheld[0].expires_ms <= found.now_ms < found.unheld[1].expires_ms
    assert found.unheld[1].heard_ms is not None and found.unheld[2].heard_ms is None
    assert all(each.started_ms for each in found.unheld)


async def test_what_waits_is_told_by_what_it_needs(store: Store, builder: JobBuilder) -> None:
    """Of every band of priority, lanes that differ only in priority or key together."""
    first = await builder.waiting(type="a", capabilities=("gpu",), priority=7)
    await builder.waiting(type="a", capabilities=("gpu",), priority=-7)
    await builder.waiting(type="a", capabilities=("gpu",), affinity_key="k")
    await builder.waiting(type="b")
    found = await signs.read(store, old_seconds=0)
    waiting = {(each.lane.type, each.lane.capabilities): each for each in found.waiting}
    assert {needs: each.number for needs, each in waiting.items()} == {("a", ("gpu",)): 3, ("b", ()): 1}
    created = int(await store.command("HGET", keys.job(first.job_id), "created_at"))
    assert abs(waiting["a", ("gpu",)].since_ms - created) <= 5
    assert (await signs.read(store, old_seconds=60)).waiting == []


async def test_a_due_job_that_nobody_moves_is_told(store: Store, builder: JobBuilder) -> None:
    made = await builder.delayed(delay_ms=1)
    await builder.until_due(made)
    found = await signs.read(store, old_seconds=60)
    assert found.due_ms is not None and found.due_ms <= found.now_ms


async def test_runs_are_told_with_their_step(store: Store, builder: JobBuilder) -> None:
    made = await builder.running(type="task")
    plain = await builder.running(type="mail")
    facts = keys.job_shelf(made.job_id, "facts")
    kept = '{"stepId":"build","stepIndex":1,"begun":3,"last":{"failureClass":"stuck_no_progress"}}'
    await store.command("HSET", facts, signs.STEP_BUDGET, kept)
    found = await signs.runs(store, [made.job_id, plain.job_id, "gone"])
    assert found.keys() == {made.job_id, plain.job_id}
    run = found[made.job_id]
    assert (run.type, run.step_id, run.step_index, run.step_attempt, run.stuck) == (
        "task",
        "build",
        1,
        3,
        True,
    )
    assert run.started_at
    assert (found[plain.job_id].step_id, found[plain.job_id].stuck) == (None, False)
    await store.command("HSET", facts, signs.STEP_BUDGET, "damaged")
    assert (await signs.runs(store, [made.job_id]))[made.job_id].step_id is None
    await builder.ended(plain, endings.Complete(plain.job_id, plain.token))
