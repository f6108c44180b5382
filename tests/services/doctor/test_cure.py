"""60-3: each corruption, planted on a real server, is found and repaired: no job lost, none run twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from sluicegate import keys
from sluicegate.model import TERMINAL, Policy
from sluicegate.operations import doctor
from sluicegate.store import endings, invariants, jobs, pause
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.damages import NAMES, NOBODY, Scene, damages, scene
from tests.support.job_builder import JobBuilder

ENDS = {
    "waiting": "succeeded",
    "returned": "succeeded",
    "running": "succeeded",
    "stale": "succeeded",
    "cancelling": "cancelled",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "dead_letter": "dead_letter",
}
"""What becomes of a job in each state, once everybody has done their work. A delayed one is not due yet."""
OTHERWISE = {
    "a cancel forgotten": {"returned": "cancelled"},
    "a delayed job that is not": {},
}


SEVERAL = (
    "a running job without a lease", "a running job acknowledged", "a lane without its group",
    "an entry of an ended job", "a wrong count", "a delayed job that is not", "a job listed nowhere",
    "a dead job without its letter", "no pause record", "a negative counter",
    "a returned job whose entry is gone",
)  # fmt: skip


@pytest.fixture(
    params=["valkey", pytest.param("redis", marks=[pytest.mark.slow, pytest.mark.needs("redis-server")])]
)
def store_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def builder(store: Store) -> JobBuilder:
    return JobBuilder(store)


@pytest.mark.parametrize("name", NAMES)
async def test_a_fault_is_found_and_repaired(store: Store, builder: JobBuilder, name: str) -> None:
    """Afterwards each job that waited is claimed once, and each that ran is completed by its worker."""
    made = await scene(store, builder)
    commands, code = damages(made)[name]
    await store.commands(*commands)
    before = await doctor.check(store)
    assert code in {finding.code for finding in before.faults}, before.faults
    assert all(finding.kind.by for finding in before.faults), before.faults
    repaired, after = await doctor.cure(store, before)
    assert after.faults == []
    assert code in {finding.code for finding in repaired}
    await everybody_works(store, builder, made, {**ENDS, **OTHERWISE.get(name, {})})
    assert await invariants.check(store) == []


async def everybody_works(store: Store, builder: JobBuilder, made: Scene, ends: dict[str, str]) -> None:
    """Whoever holds a job ends it, then all that can be claimed is claimed and completed."""
    for state in ("running", "stale", "cancelling"):
        held = made.jobs[state]
        done = endings.Complete if state != "cancelling" else endings.Cancelled
        await builder.ended(held, done(held.job_id, held.token))
    if (await pause.read(store)).workers_paused:
        await pause.change(store, action="resume", actor="ann")
    claims: Counter[str] = Counter()
    while claimed := await builder.claim(worker="another", limit=10):
        for job in claimed:
            claims[job.id] += 1
            await endings.finish_one(store, "another", endings.Complete(job.id, int(job.lease_token or 0)))
    assert set(claims.values()) <= {1}, "a job ran twice"
    for state, end in ends.items():
        job = await jobs.get(store, made.id(state))
        assert job.status == end, f"the job that was {state} is {job.status}"
    delayed = await jobs.get(store, made.id("delayed"))
    assert delayed.status in ("queued", *TERMINAL)
    assert {made.id(state) for state in ("running", "stale", "succeeded", "failed")}.isdisjoint(claims)


async def test_a_sound_store_is_left_as_it_is(store: Store, builder: JobBuilder) -> None:
    """60-3: a cure without a fault writes nothing."""
    await scene(store, builder)
    before = await contents(store)
    found = await doctor.check(store)
    assert (found.findings, found.jobs) == ([], len(builder.STATES))
    assert (await doctor.cure(store, found))[0] == []
    assert await contents(store) == before


async def test_everything_at_once(store: Store, builder: JobBuilder) -> None:
    """60-3: faults that hide one another are repaired in turn."""
    made = await scene(store, builder)
    all_of_them = damages(made)
    for name in SEVERAL:
        await store.commands(*all_of_them[name][0])
    _, after = await doctor.cure(store, await doctor.check(store))
    assert after.faults == []
    await everybody_works(store, builder, made, ENDS)


async def test_a_busy_store_is_repaired_while_it_works(store: Store, builder: JobBuilder) -> None:
    """60-3: neither a false alarm nor a wrong repair while jobs come, run and end."""
    made = await scene(store, builder)
    done = asyncio.Event()
    ended: list[str] = []

    async def work(worker: str) -> None:
        while not done.is_set():
            await builder.enqueued(*(builder.submission("busy") for _ in range(5)))
            for job in await builder.claim(Policy(types=("busy",)), worker=worker, limit=5):
                await endings.finish_one(store, worker, endings.Complete(job.id, int(job.lease_token or 0)))
                ended.append(job.id)

    workers = [asyncio.create_task(work(f"w{at}")) for at in range(3)]
    try:
        calm = [(await doctor.check(store)).findings for _ in range(3)]
        for name in set(SEVERAL) - {"no pause record"}:  # without it nobody works
            await store.commands(*damages(made)[name][0])
        _, after = await doctor.cure(store, await doctor.check(store))
    finally:
        done.set()
        await asyncio.gather(*workers)
    assert calm == [[]] * 3
    assert after.faults == []
    assert len(ended) == len(set(ended)), "a job ran twice"
    await everybody_works(store, builder, made, ENDS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
async def test_faults_of_chance(store: Store, builder: JobBuilder, seed: int) -> None:
    """60-3: two to four of all faults at once, also of one job: nothing is lost, nothing runs twice."""
    chance = random.Random(seed)
    names = chance.sample(NAMES, chance.choice([2, 3, 4]))
    made = await scene(store, builder)
    ends = dict(ENDS)
    for name in names:  # one may leave nothing for the next to damage
        await store.commands(*damages(made)[name][0], keep_errors=True)
        ends |= OTHERWISE.get(name, {})
    _, after = await doctor.cure(store, await doctor.check(store))
    assert after.faults == [], names
    await everybody_works(store, builder, made, ends)
    assert await invariants.check(store) == []


@pytest.mark.parametrize("name", ["a slot of nobody", "a slot that is gone", "set aside for ever"])
async def test_what_limits_hold_back_is_worked_out_anew(store: Store, builder: JobBuilder, name: str) -> None:
    """Q-18, 60-3: a slot that nobody holds would hold its lane back for ever; a lost one is no limit."""
    first = await builder.running(affinity_key="k")
    (second,) = await builder.enqueued(builder.submission(affinity_key="k"))
    assert await builder.claim() == []
    (parked,) = await store.command("ZRANGE", keys.PARKED, 0, -1)
    damage = {
        "a slot of nobody": ("ZADD", keys.SLOTS, 0, f"key=k|{NOBODY}"),
        "a slot that is gone": ("DEL", keys.SLOTS),
        "set aside for ever": ("ZADD", keys.PARKED, 0, parked.replace("|0", "|1", 1)),
    }
    await store.command(*damage[name])
    found = await doctor.check(store)
    assert found.faults
    _, after = await doctor.cure(store, found)
    assert after.faults == []
    assert await builder.claim() == []
    await builder.ended(first, endings.Complete(first.job_id, first.token))
    assert [job.id for job in await builder.claim()] == [second]


async def test_a_job_without_its_payload_is_ended_and_says_so(store: Store, builder: JobBuilder) -> None:
    """60-3: what cannot be restored is not made up, and nobody runs it."""
    made = await scene(store, builder)
    await store.command("HDEL", made.job("waiting"), "spec")
    _, after = await doctor.cure(store, await doctor.check(store))
    assert after.faults == []
    job = await jobs.get(store, made.id("waiting"))
    assert (job.status, job.type, job.cancel_requested_by_user_id) == ("cancelled", "waiting", "doctor")
    assert "payload was lost" in str(job.cancel_reason)


async def test_a_running_job_without_its_payload_is_left_to_its_worker(
    store: Store, builder: JobBuilder
) -> None:
    made = await scene(store, builder)
    held = made.jobs["running"]
    await store.command("HSET", made.job("running"), "spec", '{"type":')
    repaired, after = await doctor.cure(store, await doctor.check(store))
    assert (repaired, [finding.code for finding in after.faults]) == ([], ["lost_payload"])
    await endings.settle(store, held.worker, [endings.Complete(held.job_id, held.token)])
    _, after = await doctor.cure(store, after)
    assert after.faults == []
    assert (await jobs.get(store, held.job_id)).status == "succeeded"


async def test_a_key_that_names_a_removed_job_is_worth_a_note(store: Store, builder: JobBuilder) -> None:
    """Q-13: a producer's key outlives a job that was purged; nothing contradicts itself."""
    await store.command("SET", f"{keys.Q}unique:ann:key", f"f {NOBODY}", "PX", 60_000)
    found = await doctor.check(store)
    assert [finding.code for finding in found.findings] == ["key_of_removed"]
    assert found.faults == []
